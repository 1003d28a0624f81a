"""One file per check. See CONTRIBUTING.md for what a file must offer."""
