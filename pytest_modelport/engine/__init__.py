"""A request carried out: from what the user wrote to routes, from routes to verdicts."""
