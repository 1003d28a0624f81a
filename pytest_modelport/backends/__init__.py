"""Everything that touches somebody else's exporter, runtime or optimiser."""
