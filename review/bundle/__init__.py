"""A part of a drive, handed over so that it can still be verified."""
