"""`params.yaml`: read, described by a schema, checked."""
