"""Frames come out as they went in, and whatever else comes is refused without harm."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from models.errors import FrameMalformed
from models.hosting import frames
from models.hosting.frames import ANSWER, REQUEST, Artefact
from models.signature import METHODS
from models.tables import Features, Table

KEY = bytes(range(32))

numbers = st.floats(width=64)
texts = st.one_of(st.none(), st.text(max_size=8))
matrices = arrays.arrays(
    np.float64, arrays.array_shapes(min_dims=2, max_dims=2, max_side=6), elements=numbers
)


@st.composite
def tables(draw: st.DrawFn) -> Table:
    rows = draw(st.integers(1, 5))
    kinds = draw(st.lists(st.booleans(), min_size=1, max_size=4))
    columns: list[NDArray[Any]] = []
    for is_text in kinds:
        if is_text:
            column = np.empty(rows, dtype=object)
            column[:] = draw(st.lists(texts, min_size=rows, max_size=rows))
        else:
            column = np.array(draw(st.lists(numbers, min_size=rows, max_size=rows)))
        columns.append(column)
    return Table(tuple(columns))


@st.composite
def answered(draw: st.DrawFn) -> NDArray[Any]:
    shape = draw(arrays.array_shapes(min_dims=1, max_dims=2, max_side=6))
    dtype = draw(st.sampled_from([np.float64, np.float32, np.int64, np.uint8, np.bool_, object]))
    if dtype is not object:
        return draw(arrays.arrays(dtype, shape))
    values = np.empty(shape, dtype=object)
    values[:] = draw(
        st.lists(st.text(max_size=6), min_size=values.size, max_size=values.size).map(
            lambda each: np.array([*each, None], dtype=object)[:-1].reshape(shape)
        )
    )
    return values


def whole(parts: list[Any]) -> bytes:
    return b"".join(bytes(part) for part in parts)


def is_same(left: Features, right: Features) -> bool:
    if isinstance(left, Table) and isinstance(right, Table):
        return left.kinds == right.kinds and all(
            a.tolist() == b.tolist() if a.dtype == object else a.tobytes() == b.tobytes()
            for a, b in zip(left.columns, right.columns, strict=True)
        )
    assert not isinstance(left, Table)
    assert not isinstance(right, Table)
    return left.shape == right.shape and left.tobytes() == right.tobytes()


def read_whole_request(data: bytes) -> tuple[frames.Request, Any]:
    request = frames.read_request(data[: REQUEST.size])
    payload = data[REQUEST.size :]
    if len(payload) != request.length:
        raise FrameMalformed("cut off")
    if request.kind == frames.PREDICT:
        return request, frames.read_features(request, payload)
    return request, frames.read_artefact(payload) if request.kind == frames.PUT else None


def read_whole_answer(data: bytes) -> Any:
    answer = frames.read_answer(data[: ANSWER.size])
    payload = data[ANSWER.size :]
    if len(payload) != answer.length:
        raise FrameMalformed("cut off")
    return frames.read_values(answer, payload) if answer.status == frames.ANSWERED else answer


@given(st.one_of(matrices, tables()), st.sampled_from(METHODS), st.integers(0, 2**64 - 1))
def test_rows_come_out_as_they_went_in(features: Features, method: str, call: int) -> None:
    data = whole(frames.prediction(call, KEY, method, features, deadline=1.5))

    request, read = read_whole_request(data)

    assert (request.call, request.version, request.deadline) == (call, KEY, 1.5)
    assert METHODS[request.method] == method
    assert is_same(read, features)


@given(answered())
def test_answers_come_out_as_they_went_in(values: NDArray[Any]) -> None:
    read = read_whole_answer(whole(frames.answers(7, values, batch=1, microseconds=2)))

    assert read.shape == values.shape
    assert read.tolist() == values.tolist() or np.array_equal(
        read, values.astype(np.float64), equal_nan=True
    )


def test_rows_that_were_read_may_be_written_to() -> None:
    data = whole(frames.prediction(1, KEY, "predict", np.ones((2, 2)), deadline=0.0))

    _, read = read_whole_request(data)

    read[0, 0] = 5.0


def test_an_artefact_comes_out_as_it_went_in() -> None:
    artefact = Artefact(12, KEY, "skops")

    request, read = read_whole_request(whole(frames.put(3, KEY, artefact, deadline=2.0)))

    assert request.kind == frames.PUT
    assert read == artefact


def test_a_long_reason_is_cut() -> None:
    data = whole(frames.outcome(3, frames.FAILED, "ä" * 5000))

    answer = frames.read_answer(data[: ANSWER.size])

    assert answer.length == frames.MOST_REASON_BYTES
    assert frames.read_reason(data[ANSWER.size :]).startswith("ää")


@settings(max_examples=400)
@given(st.one_of(matrices, tables()), st.data())
def test_a_damaged_request_is_refused_or_read_as_another(
    features: Features, data: st.DataObject
) -> None:
    sent = whole(frames.prediction(1, KEY, "predict", features, deadline=1.0))

    damaged = damage(sent, data)

    try:
        read_whole_request(damaged)
    except FrameMalformed:
        pass
    except struct.error:
        assert len(damaged) < REQUEST.size


@settings(max_examples=400)
@given(answered(), st.data())
def test_a_damaged_answer_is_refused_or_read_as_another(
    values: NDArray[Any], data: st.DataObject
) -> None:
    damaged = damage(whole(frames.answers(1, values, batch=1, microseconds=1)), data)

    try:
        read_whole_answer(damaged)
    except FrameMalformed:
        pass
    except struct.error:
        assert len(damaged) < ANSWER.size


def damage(sent: bytes, data: st.DataObject) -> bytes:
    changed = bytearray(sent)
    for _ in range(data.draw(st.integers(0, 4))):
        changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
    end = data.draw(st.one_of(st.just(len(changed)), st.integers(0, len(changed))))
    return bytes(changed[:end]) + data.draw(st.binary(max_size=8))


@pytest.mark.parametrize(
    "values",
    [
        np.ones((1, 1, 1)),
        np.array(1.0),
        np.array([1 + 2j]),
        np.array(["2020-01-01"], dtype="datetime64[D]"),
        np.array([2**63], dtype=np.uint64),
        np.array([1, "a"], dtype=object),
        np.array([None], dtype=object),
        np.array([2**70], dtype=object),
        np.array([2**53 + 1, 0.5], dtype=object),
        np.empty((2, 0)),
    ],
)
def test_answers_of_another_kind_are_not_sent(values: NDArray[Any]) -> None:
    with pytest.raises(FrameMalformed):
        frames.answers(1, values, batch=1, microseconds=1)


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (np.array(["a", "b"]), "O"),
        (np.array([True, False], dtype=object), "b"),
        (np.array([1, 2], dtype=object), "i"),
        (np.array([1, 2.5], dtype=object), "f"),
        (np.array([1, 2], dtype=np.uint16), "i"),
        (np.array([1.5], dtype=np.float16), "f"),
    ],
)
def test_answers_keep_their_kind(values: NDArray[Any], kind: str) -> None:
    read = read_whole_answer(whole(frames.answers(1, values, batch=1, microseconds=1)))

    assert read.dtype.kind == kind
    assert read.tolist() == values.tolist()


def header(**changed: int) -> bytes:
    fields = {
        "magic": frames.MAGIC,
        "status": frames.ANSWERED,
        "dtype": 0,
        "batch": 1,
        "call": 1,
        "rows": 1,
        "width": 0,
        "microseconds": 1,
        "length": 8,
    } | changed
    return ANSWER.pack(*fields.values())


@pytest.mark.parametrize(
    "changed",
    [
        {"magic": 1},
        {"status": 9},
        {"dtype": 4},
        {"rows": 2},
        {"width": 2},
        {"width": 2**32 - 1, "length": 8 * (2**32 - 1)},
        {"length": 2**40, "rows": 2**31 - 1, "width": 64},
        {"dtype": frames.TEXTS, "length": 2**30},
        {"status": frames.FAILED, "rows": 0, "length": 2000},
        {"status": frames.FAILED, "length": 3},
    ],
)
def test_an_answer_that_contradicts_itself_is_refused_by_its_header(
    changed: dict[str, int],
) -> None:
    frames.read_answer(header())

    with pytest.raises(FrameMalformed):
        frames.read_answer(header(**changed))


def test_a_truth_value_that_is_neither_is_refused() -> None:
    answer = frames.read_answer(header(dtype=2, length=1))

    with pytest.raises(FrameMalformed, match="truth"):
        frames.read_values(answer, b"\x02")


def test_a_text_that_is_not_utf8_is_refused() -> None:
    sent = whole(frames.answers(1, np.array(["ab"], dtype=object), batch=1, microseconds=1))
    answer = frames.read_answer(sent[: ANSWER.size])

    with pytest.raises(FrameMalformed, match="UTF-8"):
        frames.read_values(answer, sent[ANSWER.size :].replace(b"ab", b"\xff\xff"))


def test_a_missing_text_is_no_answer() -> None:
    with pytest.raises(FrameMalformed):
        frames.answers(1, np.array(["a", None], dtype=object), batch=1, microseconds=1)


def test_versions_that_differ_in_anything_have_other_keys() -> None:
    named = [("a", "b", "c"), ("ab", "", "c"), ("a", "bc", ""), ("a", "b", "d"), ("x", "b", "c")]
    roles = ("model", "engine")

    keys = {frames.version_key(*triple, role) for triple in named for role in roles}

    assert len(keys) == len(named) * len(roles)
