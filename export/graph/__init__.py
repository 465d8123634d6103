"""An ONNX graph with every shape known, that export can read, differentiate, extend and fold."""
