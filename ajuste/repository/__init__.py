"""Git and DVC: commits, recorded hashes, and the repair of both."""
