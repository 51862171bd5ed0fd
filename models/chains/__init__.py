"""Estimators made of estimators: pipelines, committees, and what decides or corrects."""
