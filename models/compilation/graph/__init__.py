"""Float64 graphs of ONNX, kept as plain data and rebuilt from it where they run."""
