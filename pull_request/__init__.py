"""The effect of a pull request on the results, and whether it is significant."""
