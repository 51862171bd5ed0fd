"""What predicts: machine-learning models, how they are taken in, compiled, kept and run."""

import os

# ONNX Runtime tells its maker how it is used: over the network, by way of a database in the home
# folder, from a thread that its import starts. Whoever imports it here has imported this first.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
