"""What seals a drive."""
