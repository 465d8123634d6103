"""The recorder and the drives that it writes."""
