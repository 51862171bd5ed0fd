#!/usr/bin/env python3
"""Make what a shop's visitors were shown, and what they bought.

No shop gives its visitors away, so this is a documented generator. Each visitor has hidden tastes
for six categories and a feeling for prices; those of a visitor's favourite category show in what
was bought and looked at before. A product that is shown is bought with a chance that grows with
taste, rating and discount, and falls with a price above what the visitor usually pays. About one
of eight is bought. The rows of one visitor belong together: `visitor` is the group by which the
folds are cut, for a new visitor is what the model has to deal with.

    python examples/recommendation/data.py --rows 8000 --output examples/recommendation/data.csv
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

ROWS = 8_000
SHOWN = 8  # products, to each visitor
CATEGORIES = ("books", "garden", "kitchen", "music", "sports", "toys")
BRANDS = tuple(f"brand {letter}" for letter in "ABCDEFGHIJKLMNOPQRSTUVWX")
COUNTRIES = ("DE", "FR", "IT", "NL", "PL", "SE", "MT")


def catalogue(products: int = 240, *, seed: int = 0) -> pd.DataFrame:
    """The products of the shop."""
    draw = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "product": [f"P{number:04d}" for number in range(products)],
            "category": draw.choice(CATEGORIES, products),
            "brand": draw.choice(BRANDS, products),
            "price": np.round(draw.lognormal(3.1, 0.7, products), 2),
            "rating": np.round(np.clip(draw.normal(3.9, 0.6, products), 1, 5), 1),
            "discount": draw.choice([0.0, 0.1, 0.2, 0.4], products, p=[0.6, 0.2, 0.15, 0.05]),
        }
    )


def offers(rows: int = ROWS, *, seed: int = 0) -> pd.DataFrame:
    """Products shown to visitors; `bought` is `yes` or `no`."""
    draw = np.random.default_rng(seed + 1)
    visitors = max(1, rows // SHOWN)
    taste = draw.gamma(0.5, 1.0, (visitors, len(CATEGORIES)))
    taste /= taste.sum(axis=1, keepdims=True)
    usual = draw.lognormal(3.1, 0.5, visitors)
    who = np.repeat(np.arange(visitors), SHOWN)
    shown = catalogue(seed=seed).sample(len(who), replace=True, random_state=seed)
    table = shown.drop(columns="product").reset_index(drop=True)
    place = table["category"].map({name: at for at, name in enumerate(CATEGORIES)}).to_numpy()
    liking = taste[who, place]
    table.insert(0, "visitor", [f"V{number:06d}" for number in who])
    table["country"] = draw.choice(COUNTRIES, visitors)[who]
    table["usual_price"] = np.round(usual[who], 2)
    table["visits_30d"] = draw.poisson(3, visitors)[who]
    table["bought_in_category"] = draw.poisson(4 * liking)
    table["viewed_in_category"] = draw.poisson(12 * liking)
    table["favourite"] = np.array(CATEGORIES)[taste.argmax(axis=1)][who]
    table.loc[draw.random(len(table)) < 0.06, "rating"] = np.nan  # not rated yet
    dear = np.log(table["price"] * (1 - table["discount"]) / table["usual_price"])
    rated = table["rating"].fillna(3.5) - 3.9
    score = -2.9 + 4.2 * liking + 0.8 * rated + 2.0 * table["discount"] - 0.9 * np.maximum(dear, 0)
    table["bought"] = np.where(draw.random(len(table)) < 1 / (1 + np.exp(-score)), "yes", "no")
    return table


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=Path(__file__).with_name("data.csv"))
    said = parser.parse_args()
    offers(said.rows, seed=said.seed).to_csv(said.output, index=False)
