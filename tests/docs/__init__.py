"""The docs are true: what they name exists, and what exists is named in them."""
