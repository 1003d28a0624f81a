"""What a user may ask for, checked and frozen. Imports nothing heavy."""
