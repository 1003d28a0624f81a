"""What formats, runtimes and transforms of one family share."""
