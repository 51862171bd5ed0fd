"""What was predicted: a sample of inputs and outputs, kept sealed for drift and audit.

Nothing here is on the way of a prediction but `PredictionLog.offer`, which copies a few rows into
a bounded queue and returns; what cannot be kept is dropped and counted.
"""
