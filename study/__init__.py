"""Run a list of experiments in parallel and report what came of them."""
