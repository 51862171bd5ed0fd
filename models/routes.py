"""Routes: how calls of a model that name no version are divided between its versions.

    {"split": [{"version": "champion", "weight": 95}, {"version": "canary", "weight": 5}],
     "sticky": "caller", "shadow": {"version": 7, "share": 0.1}, "bounds": {"error_rate": 0.02}}

The first version of the split is the one to fall back on. Every caller has a place between 0 and
1 that depends on nothing but the model and who it is; the versions lie along that line in the
order of the split, so that a growing weight takes callers over and sends none to and fro.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

from models.errors import RouteRefused
from models.names import read_reference

Sticky = Literal["caller", "header", "none"]
MOST_ARMS: Final = 8
MOST_WEIGHT: Final = 1_000_000
MOST_HEADER: Final = 64
PLACES: Final = 2**64


@dataclass(frozen=True, slots=True)
class Arm:
    """A version, by number or alias, and its share of the calls."""

    version: int | str
    weight: int


@dataclass(frozen=True, slots=True)
class Shadow:
    """A version that is asked in the background too, for a share of the calls."""

    version: int | str
    share: float = 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Bounds:
    """What a version other than the first may do before it is taken out of the split.

    Of its last `window_seconds`, once these hold `least_requests`: the share of calls that
    failed, the 95th percentile of its time in seconds, and that percentile as a multiple of the
    first version's.
    """

    error_rate: float | None = None
    p95_seconds: float | None = None
    p95_ratio: float | None = None
    least_requests: int = 50
    window_seconds: int = 60


@dataclass(frozen=True, kw_only=True, slots=True)
class Route:
    """One model's division of calls."""

    split: tuple[Arm, ...]
    sticky: Sticky = "caller"
    header: str | None = None
    shadow: Shadow | None = None
    bounds: Bounds | None = None

    @property
    def versions(self) -> tuple[int | str, ...]:
        """Every version that the route names."""
        shadow = (self.shadow.version,) if self.shadow else ()
        return (*(arm.version for arm in self.split), *shadow)

    def without(self, version: int | str) -> Route:
        """The route when one version is taken out; its calls go to the first."""
        taken = sum(arm.weight for arm in self.split if arm.version == version)
        first, *others = self.split
        kept = tuple(arm for arm in others if arm.version != version)
        split = (Arm(first.version, first.weight + taken), *kept)
        return Route(
            split=split,
            sticky=self.sticky,
            header=self.header,
            shadow=self.shadow,
            bounds=self.bounds,
        )

    def as_json(self) -> dict[str, Any]:
        """The route as plain JSON types, absent members left out."""
        bounds = self.bounds and {n: getattr(self.bounds, n) for n in BOUNDS}
        members = {
            "split": [{"version": arm.version, "weight": arm.weight} for arm in self.split],
            "sticky": self.sticky,
            "header": self.header,
            "shadow": self.shadow and {"version": self.shadow.version, "share": self.shadow.share},
            "bounds": bounds and {n: value for n, value in bounds.items() if value is not None},
        }
        return {name: member for name, member in members.items() if member is not None}


BOUNDS: Final[Mapping[str, tuple[float, float]]] = {
    "error_rate": (0, 1),
    "p95_seconds": (1e-6, 3600),
    "p95_ratio": (0.1, 1000),
    "least_requests": (1, 1_000_000),
    "window_seconds": (10, 3600),
}
WHOLE: Final = frozenset({"least_requests", "window_seconds"})


def place(model_id: str, key: str) -> float:
    """Where on the line from 0 to 1 a caller is, for one model."""
    digest = hashlib.blake2b(key.encode(), digest_size=8, salt=model_id.encode()[-16:]).digest()
    return int.from_bytes(digest, "big") / PLACES


def choose(weights: tuple[int, ...], at: float) -> int:
    """Which of the weighted versions lies at a place of the line."""
    left = at * sum(weights)
    for index, weight in enumerate(weights):
        left -= weight
        if left < 0:
            return index
    return 0


def read_route(value: object) -> Route:
    """Read a route that somebody wrote; raises RouteRefused saying what is wrong and where."""
    members = _members(value, "", {"split", "sticky", "header", "shadow", "bounds"})
    sticky = members.get("sticky", "caller")
    if sticky not in get_args(Sticky):
        raise RouteRefused("/sticky", "none of caller, header, none")
    return Route(
        split=_read_split(members.get("split")),
        sticky=sticky,
        header=_read_header(members.get("header"), sticky),
        shadow=_read_shadow(members["shadow"]) if "shadow" in members else None,
        bounds=_read_bounds(members["bounds"]) if "bounds" in members else None,
    )


def _read_split(value: object) -> tuple[Arm, ...]:
    if not isinstance(value, list) or not 1 <= len(value) <= MOST_ARMS:
        raise RouteRefused("/split", f"not a list of 1 to {MOST_ARMS} versions with weights")
    arms = tuple(_read_arm(arm, f"/split/{index}") for index, arm in enumerate(value))
    if len({arm.version for arm in arms}) != len(arms):
        raise RouteRefused("/split", "names a version twice")
    if not sum(arm.weight for arm in arms):
        raise RouteRefused("/split", "gives every version the weight 0")
    return arms


def _read_arm(value: object, path: str) -> Arm:
    members = _members(value, path, {"version", "weight"})
    weight = members.get("weight")
    if type(weight) is not int or not 0 <= weight <= MOST_WEIGHT:
        raise RouteRefused(f"{path}/weight", f"not a whole number from 0 to {MOST_WEIGHT}")
    return Arm(_read_version(members, path), weight)


def _read_header(value: object, sticky: str) -> str | None:
    if sticky != "header":
        if value is not None:
            raise RouteRefused("/header", 'only means something where "sticky" is "header"')
        return None
    fits = isinstance(value, str) and 0 < len(value) <= MOST_HEADER
    if not fits or not str(value).replace("-", "").isalnum() or not str(value).isascii():
        raise RouteRefused("/header", "not the name of a header, such as X-User")
    return str(value)


def _read_shadow(value: object) -> Shadow:
    members = _members(value, "/shadow", {"version", "share"})
    share = members.get("share", 1.0)
    if type(share) not in (int, float) or not 0 < share <= 1:
        raise RouteRefused("/shadow/share", "not a number above 0 and up to 1")
    return Shadow(_read_version(members, "/shadow"), float(share))


def _read_bounds(value: object) -> Bounds:
    members = _members(value, "/bounds", set(BOUNDS))
    for name, number in members.items():
        least, most = BOUNDS[name]
        kinds = (int,) if name in WHOLE else (int, float)
        if type(number) not in kinds or not least <= number <= most:
            raise RouteRefused(f"/bounds/{name}", f"not a number from {least:g} to {most:g}")
    if not members.keys() - WHOLE:
        raise RouteRefused("/bounds", "bounds nothing: give error_rate, p95_seconds or p95_ratio")
    return Bounds(**members)


def _read_version(members: Mapping[str, Any], path: str) -> int | str:
    version = read_reference(members.get("version"))
    if version is None:
        raise RouteRefused(f"{path}/version", "neither a version's number, from 1, nor an alias")
    return version


def _members(value: object, path: str, known: set[str]) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise RouteRefused(path, "not an object")
    for name in value:
        if name not in known:
            shown = name[:MOST_HEADER].replace("~", "~0").replace("/", "~1")
            raise RouteRefused(f"{path}/{shown}", f"unknown; known are {', '.join(sorted(known))}")
    return value
