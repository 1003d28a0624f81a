"""One file for each question. Files with a leading underscore are theirs and no checks."""
