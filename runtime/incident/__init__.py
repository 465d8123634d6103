"""Which moments of a drive are worth keeping: what sets them off, the window around them, and the list of both."""
