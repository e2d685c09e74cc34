"""Use a trained model: raw text in, sentiment out."""
