"""What a pull request did to the results, and whether that is more than chance."""
