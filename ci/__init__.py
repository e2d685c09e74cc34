"""What continuous integration tells of a pull request: its metrics compared, in a comment."""
