"""The verbs of the investigator."""
