"""What every refusal must look like (RFC 9457)."""

from __future__ import annotations

from typing import Any

from werkzeug.test import TestResponse


def refused(response: TestResponse, status: int, name: str) -> dict[str, Any]:
    """Require a well-formed problem of this status and kind, and return its members."""
    assert response.status_code == status, response.text
    assert response.content_type == "application/problem+json"
    body: dict[str, Any] = response.get_json()
    assert body["type"] == f"urn:sallyport:problem:{name}", body
    assert body["status"] == status
    assert body["title"]
    assert body["request_id"] == response.headers["X-Request-Id"]
    assert response.headers["Cache-Control"] == "no-store"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    return body


def pointers(body: dict[str, Any]) -> set[str]:
    """The paths of the bad fields."""
    return {error["pointer"] for error in body["errors"]}
