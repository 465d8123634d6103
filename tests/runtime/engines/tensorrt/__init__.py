"""TensorRT as a back-end."""
