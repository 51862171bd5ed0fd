"""What several contract suites stand on."""

from __future__ import annotations

from tests.contracts.counter_stores import counters, make, where

__all__ = ["counters", "make", "where"]
