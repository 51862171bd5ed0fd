"""Many rows of numbers, read piece by piece: bit for bit what a parser makes of each number."""

from __future__ import annotations

import json
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.requests import pieces
from models.requests.bounds import Bounds
from models.requests.pieces import read_plain

BOUNDS = Bounds(max_bytes=1 << 20, max_rows=1000, max_columns=200, max_depth=8)

exact = st.integers(-(2**53) + 1, 2**53 - 1).map(str)
digits = st.text("0123456789", min_size=1, max_size=25)
decimals = st.builds(
    "{}{}.{}e{}".format, st.sampled_from(["", "-"]), exact.map(lambda n: n.strip("-")), digits,
    st.integers(-340, -10),
)  # fmt: skip
tables = st.integers(1, 4).flatmap(
    lambda columns: st.lists(
        st.lists(exact | decimals, min_size=columns, max_size=columns), min_size=1, max_size=12
    )
)


@pytest.fixture(autouse=True, scope="module")
def small_pieces() -> Iterator[None]:
    """Pieces of some rows, of which the tables here have several."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pieces, "PIECE_BYTES", 300)
        yield


@given(tables, st.sampled_from([",", " , ", ",\n\t"]))
def test_every_number_is_the_float_nearest_to_its_text(rows: list[list[str]], comma: str) -> None:
    lists = comma.join(f"[{comma.join(row)} ]" for row in rows)
    plain = read_plain(f'{{"model":"m", "features" : [ {lists}\n] }}'.encode(), BOUNDS)

    assert plain is not None
    assert (
        plain.matrix.tobytes()
        == np.array([[float(text) for text in row] for row in rows]).tobytes()
    )
    assert json.loads(plain.rest) == {"model": "m", "features": [[0]]}


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        ("[5,5]", "[5,true]"),
        ("[5,5]", "[false,5]"),
        ("[5,5]", "[5]"),
        ("[5,5],[3,4]", "[5],[5,3,4]"),
        ("[5,5]", "[5,5,5]"),
        ("[5,5]", "[5,[5]]"),
        ("[5,5]", '["5",5]'),
        ("[5,5]", '"55"'),
        ("[5,5]", "[5,null]"),
        ("[5,5]", "[5,NaN]"),
        ("[5,5]", "[5,05]"),
        ("[5,5]", "[5,9007199254740993]"),
        ("[5,5]", "{}"),
        ("[5,5]", "5"),
        ("],[", "] ["),
        ("],[", "],,["),
        ("],[", "],[],["),
        ("],[", "]][["),
        ("],[", "]5,["),
    ],
)
def test_what_is_no_row_of_the_others_anywhere_is_left_to_the_slow_look(
    good: str, bad: str
) -> None:
    parts = ("[1,2]," * 70 + "[5,5]," + "[3,4]," * 70 + "[6,7]").split(good)
    assert len(parts) > 1
    for at in range(1, len(parts)):
        rows = good.join(parts[:at]) + bad + good.join(parts[at:])
        assert read_plain(f'{{"features":[{rows}]}}'.encode(), BOUNDS) is None


@pytest.mark.parametrize(
    "body",
    [
        '{"features":[%s' % ("[1]," * 1000 + "[1]]}"),
        '{"features":[[%s' % ("1," * 200 + "1]]}"),
        '{"features":[[1]' + " " * (1 << 20) + "]}",
        '{"columns":{"a":[1]},"records":[[1]]}',
        '{"features":[[1',
        '{"features":[[1]',
        '{"features":[[',
    ],
    ids=["rows", "columns", "bytes", "none", "unended", "half", "begun"],
)
def test_what_is_beyond_the_bounds_or_no_table_is_left_to_the_slow_look(body: str) -> None:
    assert read_plain(body.encode(), BOUNDS) is None


def test_a_body_is_given_no_more_room_than_it_can_fill() -> None:
    wide = Bounds(max_bytes=1 << 20, max_rows=10**6, max_columns=10**6, max_depth=8)
    wide_row, short_rows = ",1" * 100_000, ",[]" * 100_000  # 80 GB, if they were all as wide
    body = f'{{"features":[[1{wide_row}]{short_rows}]}}'

    assert read_plain(body.encode(), wide) is None
