#!/usr/bin/env python3
"""Draw small pictures of road signs, as a camera behind a windscreen would see them.

Pictures of real roads are large and not ours to give away, so this is a documented generator on
top of real data: the digits of the speed limits are handwritten ones that scikit-learn ships
(Alpaydin and Kaynak, 1998; UCI, CC BY 4.0). Each picture is 16 x 16 shades of grey of a sign that
is shifted, lit, noisy and, now and then, partly covered. The classes are those a car must tell
apart: `stop`, `yield`, `no entry`, `priority`, `limit 30`, `limit 50`, `limit 80`.

    python examples/road_signs/data.py --rows 2800 --output examples/road_signs/data.csv
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.datasets import load_digits

ROWS = 2_800
SIDE = 16
SIGNS = ("stop", "yield", "no entry", "priority", "limit 30", "limit 50", "limit 80")

Picture = NDArray[np.float64]


def pictures(rows: int = ROWS, *, seed: int = 0) -> pd.DataFrame:
    """Pictures as columns `r00c00` to `r15c15`, from 0 (black) to 1, and their `sign`."""
    draw = np.random.default_rng(seed)
    digits = load_digits()
    signs = draw.choice(SIGNS, rows)
    seen = np.array([_seen(_drawn(sign, digits, draw), draw) for sign in signs])
    names = [f"r{row:02d}c{column:02d}" for row in range(SIDE) for column in range(SIDE)]
    table = pd.DataFrame(np.round(seen.reshape(rows, -1), 3), columns=names)
    table["sign"] = signs
    return table


def _drawn(sign: str, digits: object, draw: np.random.Generator) -> Picture:
    """A clean picture of a sign of a random size, a little off the middle."""
    middle = (SIDE - 1) / 2 + draw.uniform(-1.2, 1.2, 2)
    size = draw.uniform(5.6, 7.4)
    y, x = (np.mgrid[:SIDE, :SIDE] - middle[:, None, None]) / size
    round_, square = np.hypot(x, y), np.maximum(abs(x), abs(y))
    match sign:
        case "stop":
            octagon = np.maximum(square, (abs(x) + abs(y)) / 1.41)
            return np.where(octagon < 0.95, np.where(abs(y) < 0.22, 0.9, 0.35), 0.0)
        case "yield":
            inside = np.maximum(-y, (y + 2 * abs(x)) / 1.4)
            return np.where(inside < 0.75, np.where(inside < 0.4, 0.95, 0.4), 0.0)
        case "no entry":
            bar = (abs(y) < 0.22) & (abs(x) < 0.7)
            return np.where(round_ < 0.95, np.where(bar, 0.95, 0.35), 0.0)
        case "priority":
            diamond = abs(x) + abs(y)
            return np.where(diamond < 1.1, np.where(diamond < 0.75, 0.75, 0.95), 0.0)
    number = _digit(int(sign.split()[1][0]), digits, draw)
    face = np.where(round_ < 0.95, np.where(round_ < 0.7, 0.95, 0.4), 0.0)
    top, left = (round(float(at)) - 4 for at in middle)
    window = face[max(top, 0) : top + 8, max(left, 0) : left + 8]
    window -= 0.85 * number[: window.shape[0], : window.shape[1]]
    return np.clip(face, 0, 1)


def _digit(digit: int, digits: object, draw: np.random.Generator) -> Picture:
    of_it = digits.images[digits.target == digit]  # type: ignore[attr-defined]
    return np.asarray(of_it[draw.integers(len(of_it))] / 16)


def _seen(sign: Picture, draw: np.random.Generator) -> Picture:
    """The sign before a street, in some light, through a lens, behind a leaf now and then."""
    street = draw.uniform(0.05, 0.5) + draw.normal(0, 0.06, sign.shape)
    picture = np.where(sign > 0, sign, street) * draw.uniform(0.45, 1.1)
    if draw.random() < 0.15:
        row, column = draw.integers(0, SIDE - 4, 2)
        picture[row : row + 4, column : column + 4] = draw.uniform(0, 0.4)
    return np.clip(picture + draw.normal(0, 0.05, sign.shape), 0, 1)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=Path(__file__).with_name("data.csv"))
    said = parser.parse_args()
    pictures(said.rows, seed=said.seed).to_csv(said.output, index=False)
