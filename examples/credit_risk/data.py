#!/usr/bin/env python3
"""Make applications for loans, as a bank would have them after the loans have ended.

No real ledger may be given away, so this is a documented generator. Whether a loan defaults is
drawn from a logistic model of the ratio of instalment to income, late payments, the length of the
credit history, employment and home, with an interaction (a high ratio is worse for those who
paid late) and a slow worsening over the months. About one loan in six defaults. Some incomes are
missing, and more often where the loan defaulted; purposes include rare ones; `applicant` is an
identifier that must not be learnt from.

    python examples/credit_risk/data.py --rows 6000 --output examples/credit_risk/data.csv
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

ROWS = 6_000
PURPOSES = ("car", "home improvement", "education", "debts", "travel", "wedding", "boat")
PURPOSE_SHARES = (0.33, 0.22, 0.14, 0.2, 0.07, 0.035, 0.005)
HOMES = ("rents", "owns", "mortgage", "with family")
HOME_SHARES = (0.42, 0.18, 0.3, 0.1)
HOME_RISKS = {"rents": 0.35, "owns": -0.4, "mortgage": -0.1, "with family": 0.2}


def applications(rows: int = ROWS, *, seed: int = 0) -> pd.DataFrame:
    """Ended loans by the day of their application; `outcome` is `repaid` or `defaulted`."""
    draw = np.random.default_rng(seed)
    first = pd.Timestamp("2022-01-03")
    day = np.sort(draw.integers(0, 3 * 365, rows))
    income = np.round(draw.lognormal(8.0, 0.45, rows), -1)
    amount = np.round(draw.lognormal(9.1, 0.7, rows), -2)
    months = draw.choice([12, 24, 36, 48, 60, 72], rows)
    table = pd.DataFrame(
        {
            "applicant": [f"A{number:07d}" for number in draw.permutation(10 * rows)[:rows]],
            "applied_on": (first + pd.to_timedelta(day, "D")).strftime("%Y-%m-%d"),
            "age": draw.integers(19, 78, rows),
            "monthly_income": income,
            "amount": amount,
            "months": months,
            "instalment_to_income": np.round(amount * 1.06 / months / income, 4),
            "employed_years": np.round(draw.gamma(1.6, 3.5, rows), 1),
            "credit_history_months": draw.integers(0, 280, rows),
            "late_payments_2y": draw.poisson(0.45, rows),
            "open_loans": draw.poisson(1.1, rows),
            "purpose": draw.choice(PURPOSES, rows, p=PURPOSE_SHARES),
            "home": draw.choice(HOMES, rows, p=HOME_SHARES),
            "income_proof": draw.choice(["none", "statement", "audited"], rows, p=[0.2, 0.6, 0.2]),
        }
    )
    defaulted = draw.random(rows) < _chance(table, day)
    table.loc[draw.random(rows) < np.where(defaulted, 0.12, 0.05), "monthly_income"] = np.nan
    table["outcome"] = np.where(defaulted, "defaulted", "repaid")
    return table


def _chance(table: pd.DataFrame, day: np.ndarray) -> np.ndarray:
    """The probability of a default."""
    ratio = np.minimum(table["instalment_to_income"], 1.5)
    late = table["late_payments_2y"]
    score = (
        -2.1
        + 3.0 * ratio
        + 0.55 * late
        + 1.1 * ratio * late
        - 0.005 * table["credit_history_months"]
        - 0.06 * np.minimum(table["employed_years"], 12)
        + 0.22 * table["open_loans"]
        + table["home"].map(HOME_RISKS)
        + table["income_proof"].map({"none": 0.5, "statement": 0.0, "audited": -0.4})
        + 0.0004 * day
    )
    return np.asarray(1 / (1 + np.exp(-score)))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=Path(__file__).with_name("data.csv"))
    said = parser.parse_args()
    applications(said.rows, seed=said.seed).to_csv(said.output, index=False)
