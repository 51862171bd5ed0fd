"""The shape of what is asked about a file of rows, besides the file."""

from __future__ import annotations

from typing import Any, Final

from models.signature import METHODS
from service.schemas import LARGEST, StrictSchema, reference, spelled

METHOD: Final = "|".join(METHODS)
FILE: Final[dict[str, Any]] = {"type": "string", "format": "binary", "maxLength": LARGEST}


class BulkSchema(StrictSchema):
    """What a file of rows cannot say: which version answers, and by which of its methods."""

    version = reference()
    method = spelled(
        f"(?:{METHOD})(?:,(?:{METHOD})){{0,{len(METHODS) - 1}}}",
        128,
        "The methods that answer, separated by commas; by default the model's first.",
    )
