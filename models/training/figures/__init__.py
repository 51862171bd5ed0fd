"""The figures of a report: SVG, drawn the same each time, from what a training has found."""

from __future__ import annotations

from models.training.figures.drawing import Figure

__all__ = ["Figure"]
