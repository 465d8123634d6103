"""The command `sightline`: its frame, and the verbs that the vehicle needs."""
