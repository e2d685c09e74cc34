"""Networks and how they are trained, saved and loaded."""
