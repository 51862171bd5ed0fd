"""The shape of what is told of drift."""

from __future__ import annotations

from typing import Final

from marshmallow import fields

from models.trainers.drifting import VERDICTS
from service.schemas import (
    LARGEST,
    AnswerSchema,
    StrictSchema,
    choice,
    model_name,
    moment,
    prose,
    reference,
    several,
    version_number,
    whole,
)

SHARE: Final = {"minimum": 0, "maximum": 1}


def _number(description: str, **bounds: float) -> fields.Float:
    return fields.Float(metadata={"description": description} | bounds)


class DriftQuerySchema(StrictSchema):
    """Of which version and time."""

    version = reference()
    since = fields.Float(metadata={"description": "Unix seconds; from then on.", "minimum": 0})
    until = fields.Float(metadata={"description": "Unix seconds; before then.", "minimum": 0})


class ColumnDriftSchema(AnswerSchema):
    """One column: what it was trained on beside what was logged."""

    name = prose("The column.", most=LARGEST, required=True)
    kind = prose("What is compared: numbers, categories or lengths of texts.", required=True)
    verdict = choice(VERDICTS, "How far it has drifted.", required=True)
    rows = whole("Rows that were logged.", required=True)
    psi = _number("The population stability index.", minimum=0)
    test = choice(["ks", "chi-square"], "Which test.")
    statistic = _number("What it computed.", minimum=0)
    p_value = _number("Its p-value.", **SHARE)
    adjusted = _number("The same, adjusted for the number of tests.", **SHARE)
    missing = _number("Share of cells that are missing.", **SHARE)
    missing_before = _number("The same of the training data.", **SHARE)
    labels = several(prose("A value.", most=LARGEST), "Of texts: what each bin is.")
    edges = several(fields.Float(), "Of numbers: what lies between the bins.")
    before = several(fields.Float(metadata=SHARE), "Shares of the training data by bin.")
    today = several(fields.Float(metadata=SHARE), "Shares of what was logged by bin.")
    problem = prose("Why it cannot be compared; empty where it can.")


class DriftSchema(AnswerSchema):
    """How far what was logged is from what a version was trained on."""

    model = model_name(required=True)
    version = version_number(required=True)
    verdict = choice(VERDICTS, "That of the worst column.", required=True)
    words = prose("The same in words.", required=True)
    since = moment("Unix seconds; absent without a beginning.")
    until = moment("Unix seconds; absent without an end.")
    rows = whole("Rows that were compared.", required=True)
    reference_rows = whole("Rows that the version was trained on.", required=True)
    left_out = whole("Rows that were logged and not looked at.", required=True)
    features = several(
        fields.Nested(ColumnDriftSchema), "Every column.", most=LARGEST, required=True
    )
    predictions = fields.Nested(ColumnDriftSchema)
