"""One file per format. See CONTRIBUTING.md for what a file must offer."""
