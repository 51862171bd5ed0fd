"""What a training hands over, once it was checked for kind, size and form.

What is in the report is for browsers, which are told to trust nothing of it; the model goes through
an intake as anybody's does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from models import manifest as roles
from models.errors import FrameMalformed
from models.formats import recognise_bytes
from models.hosting.messages import Message
from models.trainers.hearing import is_shallow
from models.training import messages as words

MOST_DEPTH: Final = 24
MOST_VALUES: Final = 2_000_000
MODEL_FORMAT: Final = "skops"
# What an evaluation must have, and what each is; what else it says is only passed on.
EVALUATION: Final[Mapping[str, tuple[type, ...]]] = {
    "schema": (int,),
    "model": (str,),
    "task": (str,),
    "seed": (int,),
    "created_at": (int, float),
    "spec": (dict,),
    "data": (dict,),
    "validation": (dict,),
    "metric": (str,),
    "leaderboard": (list,),
    "searches": (list,),
    "champion": (dict,),
    "holdout": (dict,),
    "slices": (list,),
    "figures": (list,),
    "card": (str,),
    "libraries": (dict,),
    "seconds": (int, float),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainedFiles:
    """A trained model and all that is told of it.

    `evaluation` is `evaluation_bytes`, parsed. `rows` are some of the table's, `answers` what the
    model says to them, for an intake to see it say so again.
    """

    model: bytes
    evaluation: Mapping[str, Any]
    evaluation_bytes: bytes
    report: bytes
    reference: bytes
    rows: bytes
    answers: bytes


def trained_files(message: Message, *, most_model_bytes: int) -> TrainedFiles:
    """The files of a trainer's last word; raises FrameMalformed."""
    if message.body.keys() != {"roles"}:
        raise FrameMalformed("the members of its last word")
    blobs = _by_role(message)
    for role, blob in blobs.items():
        most = most_model_bytes if role == roles.MODEL else words.MOST_BYTES[role]
        if not 0 < len(blob) <= most:
            raise FrameMalformed(f"its {role} has {len(blob)} bytes, and may have 1 to {most}")
    known = recognise_bytes(blobs[roles.MODEL])
    if known is None or known.name != MODEL_FORMAT:
        raise FrameMalformed("the format of its model")
    evaluation = _document(blobs[roles.EVALUATION], roles.EVALUATION)
    _check_evaluation(evaluation)
    _document(blobs[roles.REFERENCE], roles.REFERENCE)
    return TrainedFiles(
        model=blobs[roles.MODEL],
        evaluation=evaluation,
        evaluation_bytes=blobs[roles.EVALUATION],
        report=blobs[roles.REPORT],
        reference=blobs[roles.REFERENCE],
        rows=blobs[words.ROWS],
        answers=blobs[words.ANSWERS],
    )


def _by_role(message: Message) -> dict[str, bytes]:
    roles = message.body["roles"]
    if type(roles) is not list or len(roles) != len(message.blobs):
        raise FrameMalformed("its files")
    if not all(type(role) is str for role in roles) or sorted(roles) != sorted(words.MOST_BYTES):
        raise FrameMalformed("its files")
    return dict(zip(roles, message.blobs, strict=True))


def _document(text: bytes, role: str) -> dict[str, Any]:
    """Parse JSON whose values are counted before anything is allocated for them."""
    # Every value but the first of its list or object follows a comma, and the first a bracket.
    if sum(map(text.count, (b",", b"[", b"{"))) > MOST_VALUES:
        raise FrameMalformed(f"its {role} has more than {MOST_VALUES} values")
    try:
        said = orjson.loads(text)  # takes no NaN, no infinity, and no halves of characters
    except orjson.JSONDecodeError as error:
        raise FrameMalformed(f"its {role} is no JSON") from error
    if type(said) is not dict or not is_shallow(said, MOST_DEPTH):
        raise FrameMalformed(f"its {role} is none")
    return said


def _check_evaluation(said: Mapping[str, Any]) -> None:
    if not said.keys() >= EVALUATION.keys():
        raise FrameMalformed("the members of its evaluation")
    for name, kinds in EVALUATION.items():
        if type(said[name]) not in kinds:
            raise FrameMalformed(f"the {name} of its evaluation")
    if said["schema"] != 1 or not said["leaderboard"]:
        raise FrameMalformed("its evaluation")
    if not all(type(entry) is dict for name in LISTS for entry in said[name]):
        raise FrameMalformed("the lists of its evaluation")


LISTS: Final = ("leaderboard", "searches", "slices", "figures")
