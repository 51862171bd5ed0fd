"""Files of rows on the operator's own disk: the way of an upload, without a server between."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Final

from auth.scope import Scope
from service import bulk
from service.bootstrap import Platform
from service.bulk import DIALECT, BulkAnswer, BulkCall
from service.spools import Spool
from service.stages import Stages
from service.visits import Visit

COPIED_BYTES: Final = 256 * 1024

Told = Callable[[int, int, int], None]


def predict_file(
    platform: Platform,
    scope: Scope,
    call: BulkCall,
    rows: Path,
    answers: Path,
    *,
    told: Told = lambda _rows, _done, _total: None,
) -> BulkAnswer:
    """Predict every row of a file, and write the answers to another when all are there.

    `told` learns how many rows are answered, and how many bytes of how many were read for them.
    """
    visit = Visit(
        platform=platform,
        scope=scope,
        dialect=DIALECT,
        header=lambda _name: None,
        request_id=secrets.token_hex(8),
        stages=Stages(),
    )
    bulk.admit(visit, call)
    folder, least_free = platform.settings.uploads, platform.settings.free_disk_bytes
    given, made = Spool(folder, least_free=least_free), Spool(folder, least_free=least_free)
    try:
        _copy(rows, given)
        answer = bulk.predict(
            visit,
            call,
            given,
            made.write,
            told=lambda count, place: told(count, place, given.size),
        )
        _write(answers, answer.head, made)
    finally:
        given.close()
        made.close()
    return answer


def _copy(path: Path, spool: Spool) -> None:
    with path.open("rb") as file:
        while data := file.read(COPIED_BYTES):
            spool.write(data)


def _write(path: Path, head: bytes, spool: Spool) -> None:
    """Write a file beside its place, and move it there when it is whole."""
    part = path.with_name(f"{path.name}.part")
    try:
        with part.open("wb") as file:
            file.write(head)
            body = spool.read()
            while data := body.read(COPIED_BYTES):
                file.write(data)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
