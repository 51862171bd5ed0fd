"""The shape of what goes in and out: a strict base, and one schema per message."""

from __future__ import annotations

from typing import Any, Final

from marshmallow import RAISE, Schema, fields, post_dump, validate

TEXT: Final = {"type": "string"}


class StrictSchema(Schema):
    """Refuses what it does not declare; keeps the declared order."""

    class Meta:
        unknown = RAISE


class AnswerSchema(Schema):
    """Leaves out what is not there, instead of saying null."""

    @post_dump
    def leave_out(self, members: dict[str, Any], **_: Any) -> dict[str, Any]:
        """Drop absent members."""
        return {name: member for name, member in members.items() if member is not None}


def text(most: int, description: str, **options: Any) -> fields.String:
    """A string of 1 to `most` characters."""
    return fields.String(
        validate=validate.Length(min=1, max=most),
        metadata={"description": description},
        **options,
    )


def secret(description: str, **options: Any) -> fields.String:
    """A password or the like: read, never written."""
    return text(1024, description, load_only=True, **options)


class PageSchema(StrictSchema):
    """Where a listing goes on."""

    cursor = text(256, "`next` of the page before.")
    limit = fields.Integer(load_default=100, validate=validate.Range(min=1, max=1000))


class TenantQuerySchema(StrictSchema):
    """Which tenant an operator means; everybody else means the own one."""

    tenant = text(64, "Another tenant's name; operators only.")


class TenantPageSchema(PageSchema, TenantQuerySchema):
    """A page of one tenant's listing."""
