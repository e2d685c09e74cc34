"""Scripts that put what is promised to the proof: that results repeat, and that nothing is lost."""
