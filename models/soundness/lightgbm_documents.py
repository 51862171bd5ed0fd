"""LightGBM's own files, looked through before LightGBM reads them.

Its code follows the indices of a file's trees, and the offsets of them in the file, without a
look. So each tree is checked, and what LightGBM gets to read has no offsets.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from models.errors import FormatRefused

VERSIONS: Final = frozenset({"v3", "v4"})
MOST_COLUMNS: Final = 1_000_000
MOST_GROUPS: Final = 100_000
MOST_LEAVES: Final = 2**24
KEPT: Final = (
    "version",
    "num_class",
    "num_tree_per_iteration",
    "label_index",
    "max_feature_idx",
    "objective",
    "average_output",
    "feature_names",
    "monotone_constraints",
    "feature_infos",
)
OBJECTIVE: Final = re.compile(r"[a-z0-9_]{1,40}(?: [a-z0-9_]{1,40}(?::[-+.e0-9]{1,40})?){0,8}")
TREE: Final = re.compile(r"\n\nTree=(?=[0-9]+\n)")
END: Final = "\n\nend of trees\n"
CATEGORICAL: Final = 1  # a bit of a decision's type
NO_CATEGORIES: Final = frozenset({"null", "[]"})
WORD: Final = 32

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True)
class LightgbmDocument:
    """What is needed of a file to serve it, and its text without what LightGBM need not read.

    `thresholds` are by column; `groups` is how many numbers it answers.
    """

    text: str
    objective: str
    columns: int
    groups: int
    feature_names: tuple[str, ...] | None
    thresholds: tuple[Floats, ...]


def read_lightgbm(data: bytes) -> LightgbmDocument:
    """Check a model's text; raises FormatRefused saying what is wrong with it."""
    try:
        text = data.decode("utf-8").replace("\r\n", "\n")
        return _read(text)
    except (KeyError, ValueError, OverflowError) as error:
        raise FormatRefused(f"it is not made like a LightGBM file: {error}"[:300]) from error


def check_lightgbm_text(text: str) -> None:
    """Check what a booster is within a pickle or skops file; raises FormatRefused.

    LightGBM gets to read it as it is, offsets and all, so that they have to be true.
    """
    read_lightgbm(text.encode())
    header, *blocks = TREE.split(text.partition(END)[0])
    told = _pairs(header.partition("\n")[2]).get("tree_sizes", "").split()
    true = [str(len(f"Tree={block}\n\n".encode())) for block in blocks]
    if told and told != true:
        raise FormatRefused("its trees are not as long as it says")


def _read(text: str) -> LightgbmDocument:
    body, ended, rest = text.partition(END)
    if not ended:
        raise FormatRefused("it is cut off before the end of its trees")
    _check_rest(rest)
    header, *blocks = TREE.split(body)
    values = _pairs(header.partition("\n")[2])
    objective = values.get("objective", "custom")
    if values["version"] not in VERSIONS or not OBJECTIVE.fullmatch(objective):
        raise FormatRefused("its version or objective is not known")
    columns = _bounded(values["max_feature_idx"], 0, MOST_COLUMNS) + 1
    groups = _bounded(values["num_tree_per_iteration"], 1, MOST_GROUPS)
    if _bounded(values["num_class"], 1, MOST_GROUPS) not in (1, groups) or len(blocks) % groups:
        raise FormatRefused("it has not as many trees as it has outputs")
    names = tuple(values["feature_names"].split(" "))
    if len(names) != columns or len(values["feature_infos"].split(" ")) != columns:
        raise FormatRefused("it names another number of columns than it takes")
    trees = [_Tree(number, block, columns) for number, block in enumerate(blocks)]
    return LightgbmDocument(
        text=_written(values, blocks),
        objective=objective,
        columns=columns,
        groups=groups,
        feature_names=None if names == tuple(f"Column_{n}" for n in range(columns)) else names,
        thresholds=_by_column(trees, columns),
    )


def _written(values: Mapping[str, str], blocks: list[str]) -> str:
    """The model without the offsets of its trees, which LightGBM would trust."""
    lines = [
        key if key == "average_output" else f"{key}={values[key]}" for key in KEPT if key in values
    ]
    header = "\n".join(["tree", *lines])
    return "\n\nTree=".join([header, *blocks]) + "\n\nend of trees\n\n"


def _check_rest(rest: str) -> None:
    """What follows the trees: how they were trained, and categories of a pandas frame."""
    if ("\nparameters:\n" in rest) != ("\nend of parameters\n" in rest):
        raise FormatRefused("it is cut off before the end of its parameters")
    for line in rest.split("\n"):
        key, _, value = line.partition(":")
        if key == "pandas_categorical" and value.strip() not in NO_CATEGORIES:
            raise FormatRefused(
                "its categories are those of a pandas frame", "train it on their codes instead"
            )


def _by_column(trees: list[_Tree], columns: int) -> tuple[Floats, ...]:
    features = np.concatenate([tree.features for tree in trees] or [np.empty(0, np.int64)])
    values = np.concatenate([tree.thresholds for tree in trees] or [np.empty(0)])
    order = np.argsort(features, kind="stable")
    edges = np.searchsorted(features[order], np.arange(1, columns))
    return tuple(np.unique(part) for part in np.split(values[order], edges))


class _Tree:
    """One tree, checked; of its inner nodes that compare numbers, columns and thresholds."""

    def __init__(self, number: int, block: str, columns: int) -> None:
        told, _, lines = block.partition("\n")
        if int(told) != number:
            raise FormatRefused("its trees are not in order")
        self._values = _pairs(lines)
        leaves = _bounded(self._values["num_leaves"], 1, MOST_LEAVES)
        self._inner = leaves - 1
        self._check_leaves(leaves)
        self.features = self._integers("split_feature")
        self.thresholds = self._floats("threshold", self._inner)
        if ((self.features < 0) | (self.features >= columns)).any():
            raise FormatRefused("a node of it reads a column that it does not take")
        _refuse_no_tree(self._integers("left_child"), self._integers("right_child"), leaves)
        named = (self._integers("decision_type") & CATEGORICAL) != 0
        self._check_categories(self.thresholds[named])
        self.features, self.thresholds = self.features[~named], self.thresholds[~named]

    def _check_leaves(self, leaves: int) -> None:
        if not np.isfinite(self._floats("leaf_value", leaves)).all():
            raise FormatRefused("a leaf of it is not finite")
        if self._values.get("is_linear", "0").strip() != "0":
            raise FormatRefused("its leaves are linear models, which is not taken")

    def _check_categories(self, chosen: Floats) -> None:
        sets = _bounded(self._values["num_cat"], 0, MOST_LEAVES)
        if len(chosen) and not ((chosen >= 0) & (chosen < sets) & (chosen % 1 == 0)).all():
            raise FormatRefused("a node of it names a set of categories that is not there")
        if not sets:
            return
        edges = np.array(self._values["cat_boundaries"].split(), np.int64)
        words = np.array(self._values["cat_threshold"].split(), np.int64)
        fits = len(edges) == sets + 1 and edges[0] == 0 and (np.diff(edges) >= 0).all()
        if not fits or edges[-1] != len(words) or ((words < 0) | (words >= 2**WORD)).any():
            raise FormatRefused("a set of categories of it lies outside of its list")

    def _integers(self, name: str) -> Integers:
        numbers = np.array(self._values.get(name, "").split(), np.int64)
        if len(numbers) != self._inner:
            raise FormatRefused(f"a tree of it has not one of {name} for each node")
        return numbers

    def _floats(self, name: str, count: int) -> Floats:
        numbers = np.array(self._values.get(name, "").split(), np.float64)
        if len(numbers) != count or np.isnan(numbers).any():
            raise FormatRefused(f"a tree of it has not one of {name} for each node or leaf")
        return numbers


def _refuse_no_tree(left: Integers, right: Integers, leaves: int) -> None:
    """Nodes are named from 0, leaves from -1 downwards; each is the child of exactly one node."""
    children = np.concatenate([left, right])
    if leaves > 1 and not np.array_equal(
        np.sort(children), np.delete(np.arange(-leaves, leaves - 1), leaves)
    ):
        raise FormatRefused("the nodes of a tree of it are no tree")


def _pairs(lines: str) -> dict[str, str]:
    return dict(_named(lines))


def _named(lines: str) -> Iterator[tuple[str, str]]:
    seen: set[str] = set()
    for line in lines.split("\n"):
        key, _, value = line.partition("=")
        if key in seen and key:
            raise FormatRefused(f"it says {key[:40]!r} twice")
        seen.add(key)
        if key:
            yield key, value


def _bounded(text: str, least: int, most: int) -> int:
    number = int(text)
    if not least <= number <= most:
        raise FormatRefused(f"a size of it is {number}")
    return number
