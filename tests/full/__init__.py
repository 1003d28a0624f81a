"""What takes long: run with --full."""
