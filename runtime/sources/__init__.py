"""Frames in: videos, folders of images, recorded drives, simulations; found by URI or path."""
