"""From torch to an ONNX file that carries its manifest and explains itself; the reference policies, their training."""

import runtime  # noqa: F401  (before ONNX Runtime is loaded: its package tells ONNX Runtime to report to nobody)
