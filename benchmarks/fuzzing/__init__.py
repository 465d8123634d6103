"""Inputs that nobody meant to send, and what must hold of whoever gets them."""
