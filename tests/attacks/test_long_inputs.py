"""Inputs whose reading would take hours if its cost grew with the square of their length."""

from __future__ import annotations

import pytest

from models.errors import InputRefused
from models.requests.bounds import Bounds
from models.requests.tensors import read_prediction_request
from service.errors import InputMalformed
from service.parsing import read_json
from tests.house import House
from tests.service.problems import refused

LENGTH = 2_000_000
BOUNDS = Bounds(max_bytes=5 * LENGTH, max_rows=1000, max_columns=200, max_depth=8)
NESTED = b'{"features":' + b"[" * 9


@pytest.mark.parametrize("end", [b"", b"\\", b'\\"', b'"', b'"]'])
def test_escaped_quotes_are_skipped_once(end: bytes) -> None:
    body = b'{"features":[' + b"{}" * 5 + b'"' + b'\\"' * LENGTH + end

    with pytest.raises(InputRefused, match="not JSON"):
        read_prediction_request(body, BOUNDS)


@pytest.mark.parametrize("string", [b'"\\"[[[', b'"\\\\" [', b'"[[[[[[[[[\\'])
def test_brackets_in_strings_nest_nothing(string: bytes) -> None:
    with pytest.raises(InputRefused, match="not JSON"):
        read_prediction_request(b"[{}{}{}{}{}{}{}{}]" + string, BOUNDS)


def test_brackets_before_a_string_without_end_are_counted() -> None:
    with pytest.raises(InputRefused, match="nested deeper than 8"):
        read_prediction_request(NESTED + b'"' + b'\\"' * LENGTH, BOUNDS)


def test_spaces_of_an_authorization_are_read_once(shared_house: House) -> None:
    headers = {"Authorization": "Bearer" + " " * LENGTH + "x"}

    assert shared_house.client.get("/health/live", headers=headers).status_code == 200


@pytest.mark.parametrize("value", ["Bearer a,Bearer b", "basic  a, b", "Bearer  , x", "BEARER ,"])
def test_joined_credentials_are_ambiguous(shared_house: House, value: str) -> None:
    response = shared_house.client.get("/health/live", headers={"Authorization": value})

    refused(response, 400, "ambiguous-credentials")


def test_repeated_name_is_found_among_many() -> None:
    names = [*map(str, range(200_000)), "last", "last"]
    body = "{" + ",".join(f'"{name}":1' for name in names) + "}"

    with pytest.raises(InputMalformed, match="/last: given twice"):
        read_json(body.encode())


def test_long_word_is_read_once() -> None:
    with pytest.raises(InputRefused, match="not JSON"):
        read_prediction_request(b'{"features":[1,' + b"x" * 4 * LENGTH, BOUNDS)
