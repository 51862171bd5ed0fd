"""What was measured: the raw records, and the medians and ratios of them."""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

Record = dict[str, Any]


@dataclass(slots=True)
class Results:
    """Records of loads and of starts, and why something was not measured."""

    about: Record = field(default_factory=dict)
    engines: dict[str, str] = field(default_factory=dict)
    records: list[Record] = field(default_factory=list)
    starts: list[Record] = field(default_factory=list)
    reasons: dict[str, dict[str, str]] = field(default_factory=dict)
    renewed: list[Record] = field(default_factory=list)

    def miss(self, server: str, load: str, reason: str) -> None:
        """Keep why a server has no number for a load; `*` is every load."""
        self.reasons.setdefault(server, {})[load] = reason
        say(f"  {server}, {load}: {reason}")

    def reason(self, server: str, load: str) -> str:
        """Why a server has no number for a load; empty if it was not asked."""
        found = self.reasons.get(server, {})
        return found.get(load) or found.get("*", "")

    def median(
        self, server: str, load: str, number: str, *, connections: int = 0, beside: str = ""
    ) -> float | None:
        """The median over the rounds of one of a record's numbers."""
        return median(
            record[number]
            for record in self.records
            if (record["server"], record["load"]) == (server, load)
            and connections in (0, record["connections"])
            and record.get("beside", "") == beside
        )

    def start(self, server: str, number: str) -> float | None:
        """The median over the starts of a server of one of their numbers."""
        return median(one[number] for one in self.starts if one["server"] == server)

    def servers(self) -> list[str]:
        """Everything that took part, or was to."""
        found = [record["server"] for record in (*self.records, *self.starts)]
        return list(dict.fromkeys([*found, *self.reasons]))

    def renew(self, part: Results, loads: Collection[str]) -> None:
        """Put the records of some loads that were measured later in the place of earlier ones.

        A load is compared within one run: whoever is not in the later one has none any more.
        """
        self.records = [record for record in self.records if record["load"] not in loads]
        self.records += part.records
        for server, reasons in part.reasons.items():
            self.reasons.setdefault(server, {}).update(reasons)
        earlier = [one for one in self.renewed if not set(one["loads"]) <= set(loads)]
        self.renewed = [*earlier, {"loads": list(loads), "about": part.about}]

    def save(self, path: Path) -> None:
        """Write everything down."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(asdict(self), indent=1) + "\n")


def median(values: Iterable[float]) -> float | None:
    """The median, if there is anything."""
    found = list(values)
    return statistics.median(found) if found else None


def ratio(one: float | None, other: float | None) -> float | None:
    """How many times the other one is, if both are there."""
    return one / other if one is not None and other else None


def opened(path: Path) -> Results:
    """What `save` wrote."""
    return Results(**json.loads(path.read_text()))


def say(line: str) -> None:
    """Show progress."""
    print(f"{time.strftime('%H:%M:%S')} {line}", file=sys.stderr, flush=True)
