"""One file per rendering: verdicts in, text out."""
