"""Whether verifying tells the truth."""
