"""From torch to an ONNX file that carries its manifest and explains itself; the reference policies, their training."""

# `runtime` comes before ONNX Runtime is loaded: it tells it to report to nobody.
from runtime import __version__ as __version__
