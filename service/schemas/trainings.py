"""The shape of trainings: what is sent, how far they are, and what they came to."""

from __future__ import annotations

from typing import Any, Final

from marshmallow import fields

from models.jobs import ENDED, MOST_NOTE, OPEN_TRAININGS
from models.training.measures import MEASURES
from models.training.progress import Phase
from service.schemas import (
    JOB,
    PRINCIPAL,
    PROSE,
    SHA_256,
    TEXT,
    UNREAD,
    AnswerSchema,
    Flag,
    StrictSchema,
    choice,
    model_name,
    moment,
    prose,
    several,
    spelled,
    text,
    version_number,
    whole,
)
from service.schemas.jobs import FILE

STATES: Final = [str(state) for state in (*OPEN_TRAININGS, *ENDED)]
MOST_LINES: Final = 500
MOST_TEXT: Final = 300
SPEC: Final[dict[str, Any]] = {
    "type": "string",
    "format": PROSE,
    "maxLength": 64 * 1024,
    "description": "What to train, as JSON or TOML.",
}
EVENTS: Final = TEXT | {"description": "Events as the HTML standard has them."}
DOCUMENT: Final[dict[str, Any]] = {
    "type": "object",
    "description": "What was compared, tuned and chosen, and the verdict of the rows held out.",
    "additionalProperties": True,
}


class TrainingFormSchema(StrictSchema):
    """A training as a form in parts."""

    spec = fields.Raw(required=True, metadata=SPEC)
    data = fields.Raw(
        required=True,
        metadata=FILE | {"description": "The table: CSV, Parquet, Arrow IPC or npz."},
    )


class TrainingEntrySchema(AnswerSchema):
    """One line of a training's log."""

    at = moment(required=True)
    stage = choice(STATES, "How far the training had come.", required=True)
    note = prose("What was done.", required=True)


class TrainingProgressSchema(AnswerSchema):
    """How far a training is."""

    phase = choice(list(Phase), "What it is at.", required=True)
    done = whole("Steps that are done of the phase.", required=True)
    total = whole("Steps that it has.", required=True)
    note = prose("What to tell people of the last.", required=True)
    seconds = fields.Float(
        required=True, metadata={"description": "What it has taken in all.", "minimum": 0}
    )


class TrainingColumnSchema(AnswerSchema):
    """What a column of the table is taken for."""

    name = prose("The column's name.", most=MOST_TEXT, required=True)
    kind = prose("`numeric`, `categorical` and so on.", most=MOST_TEXT, required=True)
    reason = prose("Why.", most=MOST_TEXT, required=True)
    missing = whole("Cells without a value.", required=True)
    unique = whole("Different values.", required=True)


class StandingSchema(AnswerSchema):
    """A candidate while the comparison is under way; the report judges."""

    algorithm = text(64, "Which.", required=True)
    metric = text(200, f"Which mean, of {', '.join(MEASURES)} or one of a class.", required=True)
    mean = fields.Float(required=True, metadata={"description": "Over the folds that are done."})
    folds = whole("How many those are.", required=True)


class TrainingSchema(AnswerSchema):
    """A training: how far it has come, and what became of it."""

    id = spelled(JOB, 64, "The training's name; it sorts by time.", required=True)
    model = model_name(required=True)
    state = choice(STATES, "How far it has come, or how it ended.", required=True)
    progress = fields.Nested(TrainingProgressSchema)
    columns = several(
        fields.Nested(TrainingColumnSchema),
        "What the first columns are taken for, once that is known.",
        required=True,
    )
    leaderboard = several(
        fields.Nested(StandingSchema), "What leads so far, the best first.", required=True
    )
    digest = spelled(SHA_256, 64, "SHA-256 of the table.", required=True)
    size = whole("Bytes of the table.", required=True)
    promote = Flag(required=True)
    version = version_number("The version that it became.")
    problem = prose("Why it did not become one.")
    report = several(
        prose("A line.", most=MOST_NOTE),
        "What is wrong with data that was refused, and where.",
        most=MOST_LINES,
        required=True,
    )
    created_by = spelled(PRINCIPAL, 400, "Who asked for it.", required=True)
    created_at = moment(required=True)
    updated_at = moment(required=True)
    log = several(fields.Nested(TrainingEntrySchema), "Each step.", required=True)


LAST_EVENT: Final[dict[str, Any]] = {
    "in": "header",
    "name": "Last-Event-ID",
    "schema": UNREAD,
    "description": "The `id` of the last event that was heard: what came after it is told.",
}
