"""Run a list of experiments in parallel and report their results."""
