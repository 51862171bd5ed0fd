"""Words that everybody puts in the same order, and ranges of numbers, which order themselves."""

from __future__ import annotations

import math
import re
from collections.abc import Collection
from itertools import pairwise
from typing import Final

LEAST: Final = 3  # values of a column that have to be there, or two that are both ends
MOST: Final = 40
SCALES: Final[tuple[tuple[str, ...], ...]] = (
    ("very low", "low", "medium", "high", "very high"),
    ("very low", "low", "moderate", "high", "very high"),
    ("low", "mid", "high"),
    ("low", "normal", "high"),
    ("low", "average", "high"),
    ("extra small", "small", "medium", "large", "extra large"),
    ("xxs", "xs", "s", "m", "l", "xl", "xxl", "xxxl"),
    ("very poor", "poor", "fair", "average", "good", "very good", "excellent"),
    ("very bad", "bad", "ok", "good", "very good"),
    ("strongly disagree", "disagree", "neutral", "agree", "strongly agree"),
    ("very dissatisfied", "dissatisfied", "neutral", "satisfied", "very satisfied"),
    ("never", "rarely", "sometimes", "often", "always"),
    ("none", "mild", "moderate", "severe"),
    ("none", "low", "medium", "high"),
    ("beginner", "intermediate", "advanced", "expert"),
    ("junior", "mid", "senior"),
    ("bronze", "silver", "gold", "platinum"),
    ("first", "second", "third", "fourth", "fifth"),
)
UNIT: Final = r"\s*([^\W\d_]{0,12}|[%€$£])\.?\s*"
RANGE: Final = re.compile(rf"\s*(\d+(?:\.\d+)?)\s*(?:-|–|to)\s*(\d+(?:\.\d+)?){UNIT}")
BELOW: Final = re.compile(rf"\s*(?:<=?|≤|under|below|up to)\s*(\d+(?:\.\d+)?){UNIT}", re.IGNORECASE)
ABOVE: Final = re.compile(
    rf"\s*(?:(?:>=?|≥|over|above)\s*(\d+(?:\.\d+)?){UNIT}|(\d+(?:\.\d+)?)\s*\+{UNIT})",
    re.IGNORECASE,
)


def order_in(values: Collection[str]) -> tuple[str, ...]:
    """The values of a column in their order, low first; empty where there is none."""
    if not 2 <= len(values) <= MOST:
        return ()
    plain = {value: value.strip().casefold().replace("_", " ") for value in values}
    if len(set(plain.values())) < len(plain):
        return ()
    for scale in SCALES:
        if set(plain.values()) <= set(scale) and _enough(set(plain.values()), scale):
            return tuple(sorted(values, key=lambda value: scale.index(plain[value])))
    return _ranges(values) if len(values) >= LEAST else ()


def _enough(said: set[str], scale: tuple[str, ...]) -> bool:
    ends = {"low", "high"}, {"small", "large"}, {"poor", "good"}, {"bad", "good"}
    return len(said) >= LEAST or said in ends


def _ranges(values: Collection[str]) -> tuple[str, ...]:
    """Values such as <18, 18-25, 26-35 and 36+, if none of them reaches into the next."""
    read = {value: _range(value) for value in values}
    ordered = sorted(values, key=lambda value: read[value] or (0.0, 0.0))
    bounds = [read[value] for value in ordered]
    for this, following in pairwise(bounds):
        if this is None or following is None or this[1] > following[0]:
            return ()
    return tuple(ordered)


def _range(value: str) -> tuple[float, float] | None:
    if match := RANGE.fullmatch(value):
        low, high = float(match[1]), float(match[2])
        return (low, high) if low <= high else None
    if match := BELOW.fullmatch(value):
        return -math.inf, float(match[1])
    if match := ABOVE.fullmatch(value):
        return float(match[1] or match[3]), math.inf
    return None
