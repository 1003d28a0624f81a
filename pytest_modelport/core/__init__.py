"""The values everyone speaks: errors, arrays, nests, samples, routes, artifacts, verdicts."""
