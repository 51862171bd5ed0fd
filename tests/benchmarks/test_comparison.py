"""What of the comparison could be wrong without a sign: reading, percentiles, ratios, bars."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks.comparison.bars import WHY, bars
from benchmarks.comparison.client import length_of, percentile
from benchmarks.comparison.further import further, further_bars
from benchmarks.comparison.generators import NoResult, parse
from benchmarks.comparison.report import lines
from benchmarks.comparison.results import Results, ratio
from benchmarks.measured import Measured, circumstances, kept

PRINTED = """Running 2s test @ https://127.0.0.1:8443/predict
  1 threads and 16 connections
Requests/sec:   9999.00

result {"requests":300,"seconds":2.000000,"p50":0.310,"p99":1.250,"refused":20,"broken":1}
"""
ABOUT = {
    "workers": 1,
    "rounds": 3,
    "seconds": 1.0,
    "generator": "wrk",
    "ours": {},
    "theirs": {},
} | dict.fromkeys(
    ("date", "commit", "command", "cores", "processor", "memory", "system", "load", "python"), "-"
)


def test_refused_requests_are_no_answers() -> None:
    found = parse(PRINTED)
    assert (found.rate, found.p50, found.p99, found.broken) == (140.0, 0.31, 1.25, 1)


def test_a_generator_that_prints_no_result_says_why() -> None:
    with pytest.raises(NoResult, match="unable to connect"):
        parse("Running 2s test", "unable to connect to 127.0.0.1:1 Connection refused")


@pytest.mark.parametrize(
    ("share", "wanted"), [(0.0, 1), (0.5, 50), (0.99, 99), (0.991, 100), (1.0, 100)]
)
def test_a_percentile_is_the_least_value_that_so_many_do_not_pass(
    share: float, wanted: int
) -> None:
    assert percentile(range(1, 101), share) == wanted


def test_a_percentile_of_one_value_is_that_value() -> None:
    assert percentile([7.0], 0.99) == 7.0


def test_the_length_of_an_answer_is_found_however_it_is_written() -> None:
    assert length_of(b"HTTP/1.1 200 OK\r\nX: 1\r\nContent-Length: 12") == 12
    assert length_of(b"HTTP/1.1 200 OK\r\ncontent-length:3\r\nX: 1") == 3


def test_ratios_need_both_sides() -> None:
    assert ratio(6.0, 3.0) == 2.0
    assert ratio(None, 3.0) is None
    assert ratio(6.0, None) is None
    assert ratio(6.0, 0.0) is None


def record(server: str, load: str, rate: float, **more: Any) -> dict[str, Any]:
    """What a round notes of one load."""
    numbers = {"requests": 10, "refused": 0, "broken": 0, "p50": 1.0, "p99": 2.0}
    return {"server": server, "load": load, "connections": 16, "rate": rate} | numbers | more


def results(**rates: float) -> Results:
    """Three rounds of Sallyport and peers on one load, one of them disturbed."""
    found = Results(about=ABOUT)
    for share in (1.0, 0.1, 1.2):
        found.records += [record(name, "forest", share * rate) for name, rate in rates.items()]
    return found


def test_a_bar_is_about_medians_and_the_best_peer_without_security() -> None:
    found = results(sallyport=600.0, fastapi=5.0, mlflow=10.0, textbook=40.0)
    [bar] = [bar for bar in bars(found) if bar.what.startswith("forest")]
    assert (bar.against, bar.found, bar.met) == ("mlflow", 60.0, True)


def test_a_bar_that_was_not_measured_is_neither_met_nor_missed() -> None:
    assert {bar.met for bar in bars(Results(about=ABOUT))} == {None}


def test_a_median_is_of_the_company_that_was_asked_for() -> None:
    found = Results()
    found.records = [record("sallyport", "mixed", 9.0, beside="alone")]
    found.records += [record("sallyport", "mixed", 3.0, beside="beside logins")]
    assert found.median("sallyport", "mixed", "rate", beside="alone") == 9.0
    assert found.median("sallyport", "mixed", "rate", beside="beside logins") == 3.0


def test_a_load_that_is_measured_anew_takes_the_place_of_the_earlier_one_and_is_told() -> None:
    found = results(sallyport=100.0, fastapi=10.0)
    found.records.append(record("sallyport", "linear", 7.0))
    later = Results(about=ABOUT | {"commit": "later"})
    later.records = [record("sallyport", "forest", 300.0), record("fastapi", "forest", 10.0)]

    found.renew(later, ["forest"])
    found.renew(later, ["forest"])

    assert found.median("sallyport", "forest", "rate") == 300.0
    assert found.median("sallyport", "linear", "rate") == 7.0
    told = [line for line in lines(found) if line.startswith("- forest, of every server anew")]
    assert len(told) == 1
    assert "commit later" in told[0]


def test_the_report_says_what_was_missed_refused_and_not_measured() -> None:
    found = results(sallyport=100.0, fastapi=10.0)
    for one in found.records:
        one["refused"] = 5
    found.miss("ray", "*", "cannot be installed: no disk")
    text = "\n".join(lines(found))
    assert "| forest | 16 | 10.0 | - |" in text
    assert f"at least 50 x | 10 x | **missed**: {WHY['forest of 100 trees, one row']} |" in text
    assert "50 % failed" in text
    assert "- ray, every load: cannot be installed: no disk" in text


WHEN = {
    "command": "python -m benchmarks.NAME --save",
    "date": "2026-03-01 12:00",
    "commit": "abc1234",
    "cores": 2,
    "processor": "a processor",
    "load": 0.3,
}
FOOTPRINT = {"opening": {"versions": 900, "kb_each": 19.5, "processes": 0}}
GROWTH = {
    "start": {"small_time": 1.5, "large_time": 2.0},
    "one known caller": {"ratio_cpu": 1.14},
    "ten known callers": {"ratio_cpu": 1.02},
}


def test_bars_of_other_programs_stand_in_the_table_with_when_they_were_measured(
    tmp_path: Path,
) -> None:
    Measured(WHEN, FOOTPRINT).keep("footprint", tmp_path)
    Measured(WHEN, GROWTH).keep("growth", tmp_path)
    text = "\n".join(lines(Results(about=ABOUT), further(tmp_path)))
    assert "| each further compiled small version |  | at most 200 kB | 19.5 kB | met |" in text
    assert "| each idle tenant |  | at most 0 host processes | 0 host processes | met |" in text
    assert "| at most 5 % more | 14 % more | **missed**" in text
    assert "| at most 2 s more | 0.5 s more | met |" in text
    assert "- growth: `python -m benchmarks.NAME --save`, 2026-03-01 12:00 UTC, commit abc" in text


def test_bars_of_programs_that_kept_nothing_have_no_row(tmp_path: Path) -> None:
    assert kept("growth", tmp_path) is None
    assert not list(further_bars(further(tmp_path)))


def test_a_process_for_some_of_the_idle_tenants_misses_the_bar() -> None:
    opening = FOOTPRINT["opening"] | {"processes": 1}
    [_, bar] = further_bars({"footprint": Measured(WHEN, {"opening": opening})})
    assert bar.met is False


@pytest.mark.parametrize("place", [["--folder", "/home/me"], ["--out=/home/me"]])
def test_circumstances_name_no_folder_of_whoever_measured(
    monkeypatch: pytest.MonkeyPatch, place: list[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["growth", *place, "--rounds", "7"])
    assert circumstances("benchmarks.growth")["command"].endswith("benchmarks.growth --rounds 7")
