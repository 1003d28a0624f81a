"""One file per runtime. See CONTRIBUTING.md for what a file must offer."""
