"""One route of one subject: transforms, artifact, open session. What a check is given."""
