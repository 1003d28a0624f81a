"""One file for each transform: constants, and `apply`."""
