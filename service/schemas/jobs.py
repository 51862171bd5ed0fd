"""The shape of uploads and of the jobs that they become."""

from __future__ import annotations

from typing import Any, Final

from marshmallow import fields, validate

from service.schemas import AnswerSchema, StrictSchema, text

NOTE: Final = "Why it was uploaded; kept with the move of an alias."
SHA_256: Final = "The SHA-256 that the model file has, in hexadecimal."
# OpenAPI 3.1, for a body that no schema of ours reads: it is handed on while it arrives.
FILE: Final[dict[str, Any]] = {"type": "string", "contentMediaType": "application/octet-stream"}
FORM_PARTS: Final = {
    "file": FILE,
    "X": FILE | {"description": "Rows to try the model on: JSON, CSV, Parquet or npy."},
    "y": FILE | {"description": "The answers that it should give to them."},
}


class UploadSchema(StrictSchema):
    """What an upload asks for, in the query or in fields of the form."""

    format = text(16, "skops, onnx, joblib, ...; by default the file tells.")
    promote = fields.Boolean(metadata={"description": "Make the version the champion."})
    alias = text(63, "Point this alias at the version.")
    note = text(200, NOTE)
    version_policy = fields.String(
        validate=validate.OneOf(["refuse", "accept"]),
        metadata={"description": "Of a file that another version of its library saved."},
    )
    digest = text(80, SHA_256)


class UploadFormSchema(UploadSchema):
    """An upload as a form in parts."""

    file = fields.Raw(required=True, metadata=FORM_PARTS["file"])
    X = fields.Raw(metadata=FORM_PARTS["X"])
    y = fields.Raw(metadata=FORM_PARTS["y"])


class EntrySchema(AnswerSchema):
    """One line of a job's log."""

    at = fields.Float(required=True, metadata={"description": "Unix seconds."})
    stage = fields.String(required=True)
    note = fields.String(required=True)


class JobSchema(AnswerSchema):
    """The intake of an upload: how far it has come, and what became of it."""

    id = fields.String(required=True)
    model = fields.String(required=True)
    state = fields.String(
        required=True,
        metadata={
            "description": "received, verified, inspected, compiled or compared; "
            "at the end ready, refused, failed or cancelled."
        },
    )
    format = fields.String(metadata={"description": "Absent where the file is to tell."})
    digest = fields.String(required=True, metadata={"description": "SHA-256 of the file."})
    size = fields.Integer(required=True, metadata={"description": "Bytes, rows included."})
    promote = fields.Boolean(required=True)
    alias = fields.String()
    note = fields.String()
    version = fields.Integer(metadata={"description": "The version that it became."})
    problem = fields.String(metadata={"description": "Why it did not become one."})
    created_by = fields.String(required=True)
    created_at = fields.Float(required=True, metadata={"description": "Unix seconds."})
    updated_at = fields.Float(required=True, metadata={"description": "Unix seconds."})
    log = fields.List(fields.Nested(EntrySchema), required=True)
