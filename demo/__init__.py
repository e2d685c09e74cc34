"""A page to try the trained networks, and to run experiments without a command line."""
