"""Scores, the verdict on the fit, and the comparison of two sides."""
