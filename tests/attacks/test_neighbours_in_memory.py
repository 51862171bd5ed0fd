"""What runs in a workshop finds nothing of other tenants in its own memory."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from models.errors import IntakeRefused
from models.formats import FORMATS
from tests.attacks import hostile_models as hostile
from tests.attacks.site import Site, guarded, opened

NEIGHBOUR = "tnt_globex"
# Looks through its frames and its whole heap, freed memory included, writes to every mapping that
# it finds, and tells what there was. The pattern is not what it finds.
SEARCH = r"""
import ctypes, gc, json, re, socket, sys
from models.hosting.messages import Message, send

frame, held, lines = sys._getframe(), [], []
while frame:
    held += frame.f_locals.values()
    frame = frame.f_back
(connection, *_) = (each for each in held if isinstance(each, socket.socket))
gc.unfreeze()
objects = gc.get_objects()
held += objects
held += gc.get_referents(*objects)
kinds = {"Hosted", "Host", "Page", "Parent", "Population", "Workshops", "Workshop", "Offspring"}
found, pages = {}, set()
for each in held:
    kind = type(each).__name__
    pages.add(id(each) >> 12)
    if kind == "mmap":
        found[kind] = found.get(kind, 0) + 1
        try:
            each[:] = b"\x01" * len(each)
        except (TypeError, ValueError):
            pass
    elif kind in kinds and type(each).__module__ != "builtins":
        found[kind] = found.get(kind, 0) + 1
pattern = re.compile(rb"tnt_[g]lobex")
names = sum(len(pattern.findall(ctypes.string_at(page << 12, 4096))) for page in pages)
told = json.dumps({"found": found, "names": names, "pages": len(pages)})
send(connection, Message("refused", {"what": "format", "problem": told, "remedy": "none"}))
"""


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with opened(guarded()) as site:
        yield site


def test_a_workshop_finds_nothing_of_a_neighbour_in_its_memory(site: Site) -> None:
    data = hostile.joblib_bytes(hostile.Runs(f"exec({SEARCH!r}, {{}})"))
    with site.undisturbed():
        assert site.serves("acme")
        before = _host_of(site)
        with pytest.raises(IntakeRefused) as refused:
            site.take_in(data, frozenset(FORMATS))
        after = _host_of(site)

    match = re.search(r"\{.*\}", str(refused.value))
    assert match, refused.value
    told = json.loads(match[0])
    assert told["pages"] > 1000
    assert (told["found"], told["names"]) == ({}, 0)
    assert after["pid"] == before["pid"]
    # The page's count, which whoever writes to the page would have changed.
    assert before["batches"] <= after["batches"] < before["batches"] + 100_000


def _host_of(site: Site) -> dict[str, Any]:
    host: dict[str, Any]
    (host,) = (each for each in site.client.status()["hosts"] if each["tenant"] == NEIGHBOUR)
    return host
