"""TensorRT as an engine: plans built on this device, kept in a cache, run through a CUDA graph.

Only `cuda`, `bindings`, `builder` and `execution` touch a device or NVIDIA's libraries; everything else is files,
hashes and processes.
"""
