"""The processes of a run, and what starts, watches and restarts them."""
