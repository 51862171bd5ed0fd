"""Float64 graphs of ONNX, kept as plain data and rebuilt from it in the worker."""
