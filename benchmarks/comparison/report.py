"""RESULTS.md: ratios first, then the numbers behind them, and what was not measured and why."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Final

from benchmarks.comparison.bars import WHY, Bar, bars
from benchmarks.comparison.further import Further, further, further_bars
from benchmarks.comparison.loads import BARE, LOADS, SALLYPORT, TWICE
from benchmarks.comparison.mixed import ALL, LOGINS, PLAIN
from benchmarks.comparison.plot import drawn
from benchmarks.comparison.results import Record, Results, ratio

COMPARED: Final = [load for load in LOADS if load.kind == "steady" and not load.among]
VERDICT: Final = {True: "met", False: "**missed**", None: "not measured"}
NOTHING: Final[Further] = {}
GENERATORS: Final = {
    "wrk": "wrk",
    "own": "our own client in Python, which is slower than wrk: ratios come out smaller",
}
HEAD: Final = """# Results

Sallyport answers over HTTPS with tokens, limits, validation, metering and audit on; the others over
HTTP without any of it, but for the textbook, which has its tokens, limits and schemas. Each server
has as many worker processes ({workers}) and runs alone; numbers are medians of {rounds} alternating
rounds of {seconds:g} s, loaded from outside over loopback. How it is measured and repeated:
[README](README.md).

![Answers a second, by load and server](results.svg)
"""


def write(results: Results, folder: Path) -> None:
    """Write the report and its plot, with what other programs left in the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "results.svg").write_text(drawn(results, COMPARED))
    (folder / "RESULTS.md").write_text("\n".join(lines(results, further(folder))) + "\n")


def lines(results: Results, measured: Further = NOTHING) -> Iterator[str]:
    """The report, line by line; `measured` is what programs beside the comparison found."""
    about = results.about
    yield HEAD.format(**about)
    peers = _peers(results)
    times = "How many times as many answers a second as"
    yield from _section(times, ["load", "connections", *peers], _ratios(results))
    header = ["what", "against", "wanted", "found", ""]
    found = chain(bars(results), further_bars(measured))
    yield from _section("The bars", header, map(_bar, found))
    header = ["load", "connections", SALLYPORT, *peers]
    yield from _section("Answers a second; p50 and p99 in ms", header, _numbers(results))
    header = ["server", "asked a second", "p50, ms", "p99, ms"]
    yield from _section("At half of the maximum throughput", header, _halves(results))
    header = ["fast predictions", "a second", "p50, ms", "p99, ms", "others, a second"]
    yield from _section("Beside slow work", header, _mixes(results))
    header = ["server", "first answer after, s", "MB after the start", "MB after the loads"]
    what = "Start, and memory of all processes with shared pages divided (PSS)"
    yield from _section(what, header, _starts(results))
    yield from _not_measured(results)
    yield from _machine(results)
    yield from (f"- {name}: {_once(one.about)}" for name, one in measured.items())


def _peers(results: Results) -> list[str]:
    return [name for name in results.servers() if name not in (SALLYPORT, BARE, TWICE)]


def _ratios(results: Results) -> Iterator[list[str]]:
    for name, connections in _points(results):
        ours = results.median(SALLYPORT, name, "rate", connections=connections)
        cells = []
        for peer in _peers(results):
            theirs = results.median(peer, name, "rate", connections=connections)
            cells.append(_times(ratio(ours, theirs)))
        yield [name, str(connections), *cells]


def _numbers(results: Results) -> Iterator[list[str]]:
    for name, connections in _points(results):
        cells = []
        for server in (SALLYPORT, *_peers(results)):
            rate, p50, p99 = (
                results.median(server, name, number, connections=connections)
                for number in ("rate", "p50", "p99")
            )
            said = None if rate is None else f"{_count(rate)}; {_ms(p50)}, {_ms(p99)}"
            cells.append((said or "-") + _refusals(results, server, name, connections))
        yield [name, str(connections), *cells]


def _refusals(results: Results, server: str, load: str, connections: int) -> str:
    """How many of a hundred requests were refused or broken off, where any was."""
    all_, refused, broken = (
        results.median(server, load, number, connections=connections) or 0
        for number in ("requests", "refused", "broken")
    )
    failed = refused + broken
    return f"; {100 * failed / max(all_, failed):.2g} % failed" if failed else ""


def _points(results: Results) -> Iterator[tuple[str, int]]:
    for load in COMPARED:
        for connections in load.connections:
            if results.median(SALLYPORT, load.name, "rate", connections=connections) is not None:
                yield load.name, connections


def _bar(bar: Bar) -> list[str]:
    most = "at least" if bar.least else "at most"
    found = "-" if bar.found is None else f"{bar.found:.3g} {bar.unit}"
    why = WHY.get(bar.what, "")
    verdict = VERDICT[bar.met] + (f": {why}" if bar.met is False and why else "")
    return [bar.what, bar.against, f"{most} {bar.wanted:g} {bar.unit}", found, verdict]


def _halves(results: Results) -> Iterator[list[str]]:
    for server in results.servers():
        numbers = [results.median(server, "half", number) for number in ("rate", "p50", "p99")]
        if numbers[0] is not None:
            yield [server, _count(numbers[0]), *map(_ms, numbers[1:])]


def _mixes(results: Results) -> Iterator[list[str]]:
    for beside in (PLAIN, LOGINS, ALL):
        rate, p50, p99 = (
            results.median(SALLYPORT, "mixed", number, beside=beside)
            for number in ("rate", "p50", "p99")
        )
        if rate is not None:
            yield [beside, _count(rate), _ms(p50), _ms(p99), _company(results, beside)]


def _company(results: Results, beside: str) -> str:
    """What the others were answered in a second, in the last round."""
    found = [one["company"] for one in results.records if one.get("beside") == beside][-1]
    return ", ".join(f"{count:g} {name}" for name, count in found.items())


def _starts(results: Results) -> Iterator[list[str]]:
    for server in results.servers():
        seconds, idle, after = (
            results.start(server, number) for number in ("cold_seconds", "idle_pss", "pss")
        )
        if seconds is not None and idle is not None and after is not None:
            yield [server, f"{seconds:.1f}", f"{idle:.0f}", f"{after:.0f}"]


def _not_measured(results: Results) -> Iterator[str]:
    found = [
        f"- {server}, {'every load' if load == '*' else load}: {reason}"
        for server, reasons in results.reasons.items()
        for load, reason in reasons.items()
    ]
    if found:
        yield "## Not measured\n"
        yield from (*found, "")


def _machine(results: Results) -> Iterator[str]:
    about = results.about
    yield "## On what\n"
    yield f"- {about['date']} UTC, commit {about['commit']}, `{about['command']}`"
    yield f"- {about['cores']} cores of {about['processor']}, {about['memory']}, {about['system']}"
    yield f"- load average when it began: {about['load']}; it is to be below 0.5"
    yield f"- load generator: {GENERATORS[about['generator']]}"
    yield f"- Python {about['python']}; Sallyport with {_versions(about['ours'])}"
    yield f"- its models are answered by: {_versions(results.engines)}"
    yield from (f"- {peer}: {_versions(found)}" for peer, found in about["theirs"].items())
    for later in results.renewed:
        yield f"- {', '.join(later['loads'])}, of every server anew: {_once(later['about'])}"


def _once(about: Record) -> str:
    """When, how and on what a program beside the comparison measured its bars."""
    return (
        f"`{about['command']}`, {about['date']} UTC, commit {about['commit']}, "
        f"{about['cores']} cores of {about['processor']}, load average {about['load']}"
    )


def _section(title: str, header: Sequence[str], rows: Iterator[list[str]]) -> Iterator[str]:
    """A table under its title, where it has a row."""
    found = [f"| {' | '.join(row)} |" for row in rows]
    if found:
        yield f"## {title}\n"
        yield f"| {' | '.join(header)} |"
        yield "|---" * len(header) + "|"
        yield from (*found, "")


def _versions(found: dict[str, str]) -> str:
    return ", ".join(f"{name} {value}" for name, value in found.items())


def _times(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}" if value < 100 else f"{value:.0f}"


def _count(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"
