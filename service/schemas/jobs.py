"""The shape of uploads and of the jobs that they become."""

from __future__ import annotations

from typing import Any, Final

from marshmallow import fields, validate

from models.formats import FORMATS
from models.jobs import ENDED, OPEN_INTAKES
from service.schemas import (
    JOB,
    LARGEST,
    PRINCIPAL,
    SHA_256,
    AnswerSchema,
    Flag,
    StrictSchema,
    alias_name,
    choice,
    described,
    model_name,
    moment,
    prose,
    several,
    spelled,
    text,
    version_number,
    whole,
)

NOTE: Final = "Why it was uploaded; kept with the move of an alias."
DIGEST: Final = "The SHA-256 that the model file has, in hexadecimal."
# OpenAPI 3.1, for a body that no schema of ours reads: it is handed on while it arrives.
FILE: Final[dict[str, Any]] = {
    "type": "string",
    "format": "binary",
    "contentMediaType": "application/octet-stream",
    "maxLength": LARGEST,
}
FORM_PARTS: Final = {
    "file": FILE,
    "X": FILE | {"description": "Rows to try the model on: JSON, CSV, Parquet or npy."},
    "y": FILE | {"description": "The answers that it should give to them."},
}
FORMAT_NAMES: Final = sorted({*FORMATS, "pickle"})
DIGEST_FORM: Final = described("(?:[sS][hH][aA]-?256:)?[0-9a-fA-F]{64}", 80)
STAGES: Final = [str(state) for state in (*OPEN_INTAKES, *ENDED)]


class UploadSchema(StrictSchema):
    """What an upload asks for, in the query or in fields of the form."""

    format = fields.String(
        validate=validate.Length(min=1, max=16),
        metadata={"description": "By default the file tells.", "enum": FORMAT_NAMES},
    )
    promote = fields.Boolean(metadata={"description": "Make the version the champion."})
    alias = alias_name("Point this alias at the version.")
    note = text(200, NOTE)
    version_policy = choice(
        ["refuse", "accept"], "Of a file that another version of its library saved."
    )
    digest = fields.String(
        validate=validate.Length(max=80), metadata={"description": DIGEST} | DIGEST_FORM
    )


class UploadFormSchema(UploadSchema):
    """An upload as a form in parts."""

    file = fields.Raw(required=True, metadata=FORM_PARTS["file"])
    X = fields.Raw(metadata=FORM_PARTS["X"])
    y = fields.Raw(metadata=FORM_PARTS["y"])


class EntrySchema(AnswerSchema):
    """One line of a job's log."""

    at = moment(required=True)
    stage = choice(STAGES, "How far the job had come.", required=True)
    note = prose("What was found.", required=True)


class JobSchema(AnswerSchema):
    """The intake of an upload: how far it has come, and what became of it."""

    id = spelled(JOB, 64, "The job's name; it sorts by time.", required=True)
    model = model_name(required=True)
    state = choice(
        STAGES,
        "How far it has come, or how it ended.",
        required=True,
    )
    format = text(64, "Absent where the file is to tell.")
    digest = spelled(SHA_256, 64, "SHA-256 of the file.", required=True)
    size = whole("Bytes, rows included.", required=True)
    promote = Flag(required=True)
    alias = alias_name("The alias that is pointed at the version.")
    note = prose(NOTE, most=200)
    version = version_number("The version that it became.")
    problem = prose("Why it did not become one.")
    created_by = spelled(PRINCIPAL, 400, "Who uploaded the file.", required=True)
    created_at = moment(required=True)
    updated_at = moment(required=True)
    log = several(fields.Nested(EntrySchema), "Each step.", required=True)
