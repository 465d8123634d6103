"""Reading the attribution map: where the decision came from, in places and words."""
