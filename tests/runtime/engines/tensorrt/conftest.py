"""Fixtures of this folder."""

from tests.runtime.engines.tensorrt.bench import bench, built, libraries, workshop

__all__ = ["bench", "built", "libraries", "workshop"]
