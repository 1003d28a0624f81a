"""One file for each library of models: constants, and `build`."""
