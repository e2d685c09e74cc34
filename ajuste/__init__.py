"""What the stages share: parameters, files, downloads, text, networks and scores."""
