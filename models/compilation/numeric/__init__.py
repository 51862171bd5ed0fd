"""Estimators in numpy on plain arrays, each as scikit-learn computes it."""
