"""Scripts that check the promises: results repeat, and nothing is lost."""
