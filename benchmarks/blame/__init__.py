"""How often `where` and `blame` of a red verdict are right, by faults planted at a known place."""
