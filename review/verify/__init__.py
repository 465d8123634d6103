"""Whether a drive is what its vehicle sealed. Standard library and `cryptography` only, so that it fits in one file."""
