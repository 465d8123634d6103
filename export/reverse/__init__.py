"""Reverse-mode differentiation of ONNX graphs, written as forward operators of ONNX itself."""
