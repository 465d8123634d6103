"""Configurations and default weights that ship with Sightline."""
