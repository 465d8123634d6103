"""Whether a part of a drive can be handed over and believed."""
