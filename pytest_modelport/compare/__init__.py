"""How far two answers lie apart, and whether that is too far. NumPy only."""
