"""One suite for every format: what a handler opens, what it answers, what it refuses."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.errors import ExtraMissing
from models.formats import FORMATS, recognise_bytes
from models.handlers import handler_of
from tests.contracts.hostile_files import HOSTILE, Hostile
from tests.contracts.model_files import COLUMNS, of_format, samples
from tests.contracts.opening import Opener, Sample, assert_answers, assert_refused

HERE = [name for name, known in FORMATS.items() if known.flavour == "sklearn"]
CUTS = (0.05, 0.3, 0.6, 0.9, 0.99)
MUTATIONS = 25


@cache
def known_samples() -> tuple[Sample, ...]:
    """Every sample, built once."""
    return tuple(samples())


@cache
def sample_of(name: str) -> Sample:
    """One sample of a format."""
    return of_format(name)


@pytest.fixture(scope="module")
def opener(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Opener]:
    """Opens files in sandboxed processes."""
    opener = Opener("sklearn", tmp_path_factory.mktemp("opened"))
    yield opener
    opener.close()


def test_bytes_of_a_library_are_known_as_its_format_and_no_other() -> None:
    for sample in known_samples():
        found = recognise_bytes(sample.data)
        assert found is not None, sample.format
        assert found.name == sample.format


@settings(deadline=None)
@given(st.binary(max_size=600))
def test_no_bytes_are_two_formats(data: bytes) -> None:
    starts = [sample_of(name).data[:64] for name in HERE]
    for start in (b"", *starts):
        found = [known for known in FORMATS.values() if known.sniff(io.BytesIO(start + data))]
        assert len(found) <= 1


@pytest.mark.parametrize("name", HERE)
def test_files_of_the_library_itself_are_opened_and_answered_alike(
    name: str, opener: Opener
) -> None:
    for sample in known_samples():
        if sample.format == name:
            assert_answers(opener.open(name, sample.data, sample.columns), sample)


@pytest.mark.parametrize("name", HERE)
def test_a_file_that_is_cut_off_is_refused(name: str, opener: Opener) -> None:
    data = sample_of(name).data
    for cut in CUTS:
        assert_refused(opener.open(name, data[: int(len(data) * cut)], COLUMNS))


@pytest.mark.parametrize("name", [name for name in HERE if name != "joblib"])
def test_an_altered_file_ends_no_process(name: str, opener: Opener) -> None:
    random = np.random.default_rng(11)
    data = sample_of(name).data
    for _ in range(MUTATIONS):
        altered = bytearray(data)
        for at in random.integers(0, len(data), random.integers(1, 9)).tolist():
            altered[at] = int(random.integers(0, 256))
        answered = opener.open(name, bytes(altered), COLUMNS)
        assert answered["outcome"] != "died", answered


@pytest.mark.parametrize("name", HERE)
def test_a_file_of_another_format_is_refused(name: str, opener: Opener) -> None:
    for other in HERE:
        if other != name:
            assert_refused(opener.open(name, sample_of(other).data, COLUMNS))


@pytest.mark.parametrize("hostile", HOSTILE, ids=lambda hostile: hostile.name)
def test_a_hostile_file_is_refused_with_its_reason(hostile: Hostile, opener: Opener) -> None:
    named = (s for s in known_samples() if (s.format, s.name) == (hostile.format, hostile.of))
    sample = next(named) if hostile.of else sample_of(hostile.format)
    data = hostile.make(sample.data)
    assert data != sample.data
    reason = assert_refused(opener.open(sample.format, data, sample.columns))
    assert hostile.says in reason, reason


def test_texts_that_a_graph_knows_are_told() -> None:
    sample = next(s for s in known_samples() if s.name == "columns")
    columns = handler_of("onnx").open(sample.data).estimator.columns_
    assert columns.names == ("age", "size", "kind")
    assert columns.kinds == ("number", "number", "text")
    assert columns.known == {2: ("low", "mid", "top")}


def test_the_offsets_within_a_lightgbm_file_are_not_trusted(opener: Opener) -> None:
    sample = sample_of("lightgbm")
    altered = sample.data.replace(b"tree_sizes=", b"tree_sizes=99999999 ")
    assert_answers(opener.open("lightgbm", altered, sample.columns), sample)


def test_a_newer_xgboost_is_told(opener: Opener) -> None:
    sample = next(s for s in known_samples() if s.name == "two-json")
    altered = sample.data.replace(b'"version":[3,', b'"version":[99,')
    assert opener.open("xgboost", altered, COLUMNS)["versions"][0].startswith("99.")


@pytest.mark.parametrize(("name", "library"), [("xgboost", "xgboost"), ("keras", "keras")])
def test_a_missing_extra_is_named(name: str, library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    monkeypatch.delitem(sys.modules, f"models.handlers.{name}_file", raising=False)
    with pytest.raises(ExtraMissing, match=f"{name} files need the extra {FORMATS[name].extra}"):
        handler_of(name)
