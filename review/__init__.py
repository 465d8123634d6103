"""Off the vehicle: open a drive, replay it, look at it."""
