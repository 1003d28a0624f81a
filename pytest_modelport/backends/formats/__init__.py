"""One file for each format: constants, and `export`."""
