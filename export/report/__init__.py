"""The report of an export: JSON beside the model, keyed by its graph, and a page for people."""
