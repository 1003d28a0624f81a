"""The clean room: a separate process that opens and runs artifacts and has none of the user's code."""
