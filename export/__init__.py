"""From torch to an ONNX file that carries its manifest and explains itself; the reference policies, their training."""
