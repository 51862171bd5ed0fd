"""The shape of what goes in and out: a strict base, and one schema per message.

Every member says how long, how large or how many it may be. What a request may hold is validated
by the same rule that describes it; what an answer holds is only described, and tests compare.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import Any, Final

from marshmallow import RAISE, Schema, ValidationError, fields, post_dump, validate

from auth.permissions import MODEL_NAME, Permission
from models.names import ALIAS, MOST_VERSIONS, NUMBER, read_reference

LARGEST: Final = 2**53 - 1  # every JSON reader keeps it exact (RFC 8259, section 6)
MOST_LISTED: Final = 1000  # on one page
MOST_PROSE: Final = 10_000
# For what a program need not understand: OpenAPI lets a format be any word.
PROSE: Final = "text"
TEXT: Final = {"type": "string", "format": PROSE, "maxLength": 2**31 - 1}
# Of a header that may say anything, and means something only in some form.
UNREAD: Final = {"type": "string", "format": PROSE, "maxLength": 2**31 - 1}
LINE: Final = r"[^\x00-\x1f\x7f]+"
TENANT: Final = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
REFERENCE: Final = f"{NUMBER.pattern}|{ALIAS.pattern}"
ACCOUNT: Final = r"[^\s:]{1,128}"
PRINCIPAL: Final = r"[^\x00-\x1f\x7f]{1,400}"
SHA_256: Final = r"[0-9a-f]{64}"
JOB: Final = r"job_[0-9a-f]{1,60}"
_GRANT: Final = f"(?:{'|'.join(map(re.escape, Permission))})(?::{MODEL_NAME.pattern})?"
SCOPE: Final = f"(?:{_GRANT}(?: {_GRANT})*)?"


class StrictSchema(Schema):
    """Refuses what it does not declare; keeps the declared order."""

    class Meta:
        unknown = RAISE


class AnswerSchema(Schema):
    """Leaves out what is not there, instead of saying null; declares everything that is."""

    class Meta:
        unknown = RAISE

    @post_dump
    def leave_out(self, members: dict[str, Any], **_: Any) -> dict[str, Any]:
        """Drop absent members."""
        return {name: member for name, member in members.items() if member is not None}


class Flag(fields.Boolean):
    """True or false, and nothing that only looks like it: to Python 1 is True."""

    def _deserialize(self, value: Any, *arguments: Any, **options: Any) -> bool:
        if type(value) is not bool:
            raise self.make_error("invalid", input=value)
        return value


class Quantity(fields.Float):
    """A number that was written as one."""

    def _validated(self, value: Any) -> float:
        if isinstance(value, str):
            raise self.make_error("invalid", input=value)
        return super()._validated(value)


class Whole(fields.Integer):
    """A number without a fraction, however it was written: to JSON Schema 1.0 is an integer."""

    def _validated(self, value: Any) -> int:
        if isinstance(value, str) or (isinstance(value, float) and not value.is_integer()):
            raise self.make_error("invalid", input=value)
        return super()._validated(value)


def text(most: int, description: str, **options: Any) -> fields.String:
    """A line of 1 to `most` characters; a control character could forge a line of a log."""
    return spelled(LINE, most, description, rule="empty, or with control characters", **options)


def opaque(most: int, description: str, **options: Any) -> fields.String:
    """A string of 1 to `most` characters that is only compared: it may be any."""
    return fields.String(
        validate=validate.Length(min=1, max=most),
        metadata={"description": description, "format": "opaque"},
        **options,
    )


def spelled(
    pattern: str, most: int, description: str, *, rule: str = "not of that form", **options: Any
) -> fields.String:
    """A string of at most `most` characters, all of which the pattern describes."""
    metadata = {"description": description} | described(pattern, most)
    most_rule = validate.Length(max=most)
    return fields.String(validate=[most_rule, _whole(pattern, rule)], metadata=metadata, **options)


def secret(description: str, **options: Any) -> fields.String:
    """A password or the like of any characters: read, never written."""
    return fields.String(
        validate=validate.Length(min=1, max=1024),
        metadata={"description": description, "format": "password"},
        load_only=True,
        **options,
    )


def prose(description: str, *, most: int = MOST_PROSE, **options: Any) -> fields.String:
    """Words for people, of an answer."""
    metadata = {"description": description, "format": PROSE, "maxLength": most}
    return fields.String(metadata=metadata, **options)


def model_name(description: str = "The model's name.", **options: Any) -> fields.String:
    """The name of a model."""
    return spelled(MODEL_NAME.pattern, 63, description, **options)


def alias_name(description: str = "The alias.", **options: Any) -> fields.String:
    """An alias of a model's versions."""
    return spelled(ALIAS.pattern, 63, description, **options)


def reference(**options: Any) -> fields.Raw:
    """A version's number or alias."""

    def check(value: object) -> None:
        if read_reference(value) is None:
            raise ValidationError("neither a version's number, from 1, nor an alias")

    number = {"type": "integer", "format": "int64", "minimum": 1, "maximum": MOST_VERSIONS}
    word = {"type": "string"} | described(REFERENCE, 63)
    metadata = {"description": "Version number or alias.", "oneOf": [number, word]}
    return fields.Raw(validate=check, metadata=metadata, **options)


def scope(description: str, **options: Any) -> fields.String:
    """Grants, separated by spaces (RFC 6749, section 3.3)."""
    metadata = {"description": description} | described(SCOPE, 4096)
    return fields.String(validate=validate.Length(max=4096), metadata=metadata, **options)


def whole(
    description: str, *, least: int = 0, most: int = LARGEST, **options: Any
) -> fields.Integer:
    """A whole number within limits, which a text of digits is not."""
    rule = validate.Range(min=least, max=most)
    metadata = {"description": description, "format": "int64"}
    return Whole(validate=rule, metadata=metadata, **options)


def counted(
    description: str, *, least: int, most: int, default: int, **options: Any
) -> fields.Integer:
    """A whole number of a query, where everything is text."""
    rule = validate.Range(min=least, max=most)
    metadata = {"description": description, "format": "int64"}
    return fields.Integer(validate=rule, load_default=default, metadata=metadata, **options)


def version_number(description: str = "The version's number.", **options: Any) -> fields.Integer:
    """The number of a version."""
    return whole(description, least=1, most=MOST_VERSIONS, **options)


def moment(description: str = "Unix seconds.", **options: Any) -> fields.Float:
    """A time."""
    return fields.Float(metadata={"description": description, "minimum": 0}, **options)


def choice(values: Iterable[str | StrEnum], description: str, **options: Any) -> fields.String:
    """One of a few words."""
    words = [str(value) for value in values]
    return fields.String(
        validate=validate.OneOf(words), metadata={"description": description}, **options
    )


def several(
    item: fields.Field[Any], description: str, *, most: int = MOST_LISTED, **options: Any
) -> fields.List[Any]:
    """A list of at most so many."""
    return fields.List(item, metadata={"description": description, "maxItems": most}, **options)


def address(description: str, **options: Any) -> fields.String:
    """An absolute URI."""
    metadata = {"description": description, "format": "uri", "maxLength": 2048}
    return fields.String(metadata=metadata, **options)


def anything(description: str, *, most: int = MOST_LISTED, **options: Any) -> fields.Dict:
    """An object whose members are explained elsewhere."""
    return fields.Dict(metadata={"description": description, "maxProperties": most}, **options)


def described(pattern: str, most: int) -> dict[str, Any]:
    """A pattern as JSON Schema has it: it is searched for, unless it says where it begins."""
    return {"pattern": f"^(?:{pattern})$", "maxLength": most}


def _whole(pattern: str, rule: str) -> Callable[[str], None]:
    known = re.compile(pattern)

    def check(value: str) -> None:
        if not known.fullmatch(value):
            raise ValidationError(rule)

    return check


class PageSchema(StrictSchema):
    """Where a listing goes on."""

    cursor = text(1024, "Of the `next` link of the page before; of the same listing and caller.")
    limit = counted("Most items of a page.", least=1, most=MOST_LISTED, default=100)


class TenantQuerySchema(StrictSchema):
    """Which tenant an operator means; everybody else means the own one."""

    tenant = opaque(64, "Another tenant's name; operators only.")


class TenantPageSchema(PageSchema, TenantQuerySchema):
    """A page of one tenant's listing."""
