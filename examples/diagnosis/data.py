#!/usr/bin/env python3
"""Write the Wisconsin breast cancer data that scikit-learn ships as a table.

569 real cases: 30 measurements of cell nuclei in a fine needle aspirate, and the diagnosis
(Street, Wolberg and Mangasarian, 1993; UCI Machine Learning Repository, CC BY 4.0).

    python examples/diagnosis/data.py --output examples/diagnosis/data.csv
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd
from sklearn.datasets import load_breast_cancer

CASES = 569


def cases(rows: int = CASES, *, seed: int = 0) -> pd.DataFrame:
    """Some cases, drawn without putting any back; `diagnosis` is `malignant` or `benign`."""
    data = load_breast_cancer(as_frame=True)
    table = data.data.rename(columns=lambda name: name.replace(" ", "_"))
    table["diagnosis"] = data.target.map(dict(enumerate(map(str, data.target_names))))
    return table.sample(min(rows, len(table)), random_state=seed)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=CASES)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=Path(__file__).with_name("data.csv"))
    said = parser.parse_args()
    cases(said.rows, seed=said.seed).to_csv(said.output, index=False)
