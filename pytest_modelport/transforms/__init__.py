"""One file per transform. See CONTRIBUTING.md for what a file must offer."""
