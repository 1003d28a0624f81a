"""The user's model: its inputs by name, its identity, its state."""
