"""Preprocessing where the network computes: a small ONNX graph that does what `runtime.preprocess` does with OpenCV."""
