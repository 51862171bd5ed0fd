"""Whether children's indices make a tree: one walk from the root meets no node twice."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.errors import FormatRefused

Integers = NDArray[np.int64]


def refuse_no_tree(left: Integers, right: Integers, *, leaf: int) -> None:
    """Raise FormatRefused unless node 0 is the root of a tree of the nodes.

    A node has two children, or `leaf` for both. Where no node is the child of two, and the root of
    none, no walk from the root can come back: a circle would need a way in.
    """
    nodes = len(left)
    inner = left != leaf
    if ((right != leaf) != inner).any():
        raise FormatRefused("a node of a tree has one child")
    children = np.concatenate([left[inner], right[inner]])
    if ((children <= 0) | (children >= nodes)).any():
        raise FormatRefused("a node of a tree has a child that is not there")
    if len(children) and np.bincount(children).max() > 1:
        raise FormatRefused("a node of a tree is the child of two")
