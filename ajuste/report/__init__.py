"""Documents, charts and printed numbers."""
