"""One file for each runtime: constants, and `open`."""
