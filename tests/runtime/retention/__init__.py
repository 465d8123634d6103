"""Room on the disk."""
