from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from models.acceptance import accept
from models.arrays import pack_arrays, unpack_arrays
from models.errors import IntakeFailed
from models.manifest import Contents
from models.signature import Part
from tests.models.files import skops_bytes
from tests.models.workshops import take_in

FEATURES = np.random.default_rng(1).normal(size=(60, 3))
LABELS = np.where(FEATURES[:, 0] > 0, "up", "down")
HONEST = take_in(skops_bytes(LogisticRegression().fit(FEATURES, LABELS)))

Change = Callable[[dict[str, Any]], Any]


def _accepted(said: dict[str, Any], blobs: Any = None) -> Contents:
    return accept(
        said, blobs or HONEST.blobs, source_format="skops", source_digest="ab" * 32
    ).contents


def _said() -> dict[str, Any]:
    return HONEST.contents.as_json()


def test_honest_contents_are_accepted_under_our_own_digests() -> None:
    said = _said()
    said["files"] = {"model": {"digest": "00", "size": 1, "format": "keras"}}
    said["source_digest"], said["source_format"], said["flavour"] = "x", "joblib", "tensorflow"
    contents = _accepted(said)

    assert contents.files == HONEST.contents.files
    assert (contents.source_digest, contents.source_format) == ("ab" * 32, "skops")
    assert contents.flavour == "sklearn"


def test_prose_steers_no_terminal_and_names_stay_as_they_are() -> None:
    said = _said()
    odd = "a\x1b[31m\n\u202eb"
    said["estimator"], said["engine_reason"], said["libraries"] = odd, odd, {odd: odd}
    said["signature"]["feature_names"] = [odd, "b", "c"]
    contents = _accepted(said)

    assert contents.estimator == contents.engine_reason == "a [31m  b"
    assert contents.libraries == {"a [31m  b": "a [31m  b"}
    assert contents.signature.feature_names == (odd, "b", "c")


def _put(path: str, value: Any) -> Change:
    def change(said: dict[str, Any]) -> None:
        *way, last = path.split("/")
        target: Any = said
        for step in way:
            target = target[int(step)] if isinstance(target, list) else target[step]
        target[int(last) if isinstance(target, list) else last] = value

    return change


def _without(path: str) -> Change:
    return lambda said: said.pop(path)


FALSE = [
    _without("engine"),
    _put("more", 1),
    _put("estimator", 7),
    _put("estimator", "x" * 1000),
    _put("engine", "imagined"),
    _put("engine", "native"),
    _put("engine_methods", []),
    _put("engine_methods", ["transform"]),
    _put("engine_methods", ["predict", "predict"]),
    _put("engine_reason", "x" * 10_000),
    _put("libraries", {"numpy": 2}),
    _put("libraries", {str(n): "" for n in range(100)}),
    _put("signature", None),
    _put("signature/task", "world domination"),
    _put("signature/columns", 0),
    _put("signature/columns", True),
    _put("signature/columns", 10**9),
    _put("signature/feature_names", ["a"]),
    _put("signature/feature_names", ["a", "a", "a"]),
    _put("signature/feature_names", ["a", "b", 3]),
    _put("signature/kinds", ["number", "text"]),
    _put("signature/kinds", ["number", "text", "image"]),
    _put("signature/categories", {"0": ["red"]}),
    _put("signature/categories", {"x": ["red"]}),
    _put("signature/missing", 1),
    _put("signature/classes", []),
    _put("signature/classes", [None]),
    _put("signature/classes", [["up"]]),
    _put("signature/methods", []),
    _put("signature/methods", [{"name": "__reduce__", "dtype": "number", "width": None}]),
    _put("signature/methods/0/dtype", "object"),
    _put("signature/methods/0/width", 0),
    _put("signature/methods/0/more", 0),
    _put("signature/methods/1/name", "predict"),
    _put("signature/inputs", None),
    _put("signature/inputs", []),
    _put("signature/inputs", [{"name": "a", "width": 2}]),
    _put("signature/inputs", [{"name": "a", "width": 2}, {"name": "a", "width": None}]),
    _put("signature/inputs", [{"name": "", "width": 3}]),
    _put("signature/inputs", [{"name": "a", "width": -1}, {"name": "b", "width": 4}]),
    _put("signature/inputs", [{"name": "a", "width": 3, "more": 1}]),
    _put("signature/methods/1/parts", [{"name": "a", "width": 7}]),
    _put("signature/methods/0/parts", [{"name": "predict_proba", "width": None}]),
    _put("signature/methods/0/parts", "a"),
    _put("parity", None),
    _put("parity/rows", -1),
    _put("parity/tolerance", 7.0),
    _put("parity/relative_error", None),
    _put("parity/methods", {}),
    _put("parity/methods/predict/agrees", False),
    _put("parity/methods/predict/agrees", 1),
    _put("parity/methods/predict/rows", "many"),
]


def test_tensors_of_a_graph_are_accepted_where_they_are_all_of_its_columns_and_answers() -> None:
    said = _said()
    said["signature"]["inputs"] = [{"name": "a", "width": 2}, {"name": "b", "width": None}]
    said["signature"]["methods"][0]["parts"] = [{"name": "label", "width": None}]
    signature = _accepted(said).signature

    assert signature.inputs == (Part("a", 2), Part("b"))
    assert signature.methods["predict"].parts == (Part("label"),)


@pytest.mark.parametrize("change", FALSE)
def test_what_cannot_be_is_not_taken_at_its_word(change: Change) -> None:
    said = _said()
    change(said)

    with pytest.raises(IntakeFailed):
        _accepted(said)


@pytest.mark.parametrize(
    "blobs",
    [
        {"engine": HONEST.blobs["engine"]},
        {"model": HONEST.blobs["model"]},
        {**HONEST.blobs, "../../etc/passwd": b""},
        {**HONEST.blobs, "model": b"\x80\x04N."},
        {**HONEST.blobs, "model": b"no model"},
        {**HONEST.blobs, "engine": b""},
        {**HONEST.blobs, "engine": HONEST.blobs["engine"][:-1]},
    ],
    ids=["no model", "no engine", "another role", "a pickle", "no format", "empty", "cut off"],
)
def test_files_that_are_not_what_they_should_be_are_refused(blobs: dict[str, bytes]) -> None:
    with pytest.raises(IntakeFailed):
        _accepted(_said(), blobs)


def test_compiled_form_is_opened_before_it_is_accepted() -> None:
    arrays = unpack_arrays(HONEST.blobs["engine"])
    name = next(name for name, array in arrays.items() if array.dtype.kind == "f")
    altered = pack_arrays(arrays | {name: arrays[name].ravel()[:1]})

    with pytest.raises(IntakeFailed, match="malformed"):
        _accepted(_said(), {**HONEST.blobs, "engine": altered})
