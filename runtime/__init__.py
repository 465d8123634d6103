"""Everything that runs on the vehicle: sources, engines, decision chain, bus, recorder and the command's frame."""

__version__ = "0.1.0"
