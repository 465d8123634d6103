"""Everything that runs on the vehicle: sources, engines, decision chain, bus, recorder and the command's frame."""

import os

__version__ = "0.1.0"

# ONNX Runtime 1.32 reports its use to Microsoft, under an identifier that it leaves in the home folder, unless this is
# set before it is loaded (its Privacy.md). A vehicle tells nobody; whoever wants it to sets 0.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
