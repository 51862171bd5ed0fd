"""What an instance folder is: absent, begun and interrupted, or an installation.

Imports little: `make serve` asks at every start.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from certs.files import PRIVATE, replace

MASTER_KEY: Final = "master.key"
DEMO: Final = "demo.json"
UNFINISHED: Final = "unfinished"  # names what is under way; removed when that is complete
# Which of these an installation has depends on its settings; any of them shows that there is one.
TRACES: Final = ("certs", "artefacts", "sallyport.db", DEMO)


def exists(instance: Path) -> bool:
    """Say whether the folder holds a complete installation."""
    if (instance / UNFINISHED).exists():
        return False
    return any((instance / trace).exists() for trace in TRACES)


def has_demo(instance: Path) -> bool:
    """Say whether the demo is complete."""
    return (instance / DEMO).exists()


def is_complete(instance: Path, *, demo: bool) -> bool:
    """Say whether there is nothing left to make."""
    return exists(instance) and (has_demo(instance) or not demo)


def under_way(instance: Path) -> str | None:
    """What was interrupted here, if anything."""
    try:
        return (instance / UNFINISHED).read_text()
    except FileNotFoundError:
        return None


def refuse_unfinished(instance: Path, *, but: str) -> None:
    """Raise InstanceUnfinished if something else than `but` was interrupted here."""
    found = under_way(instance)
    if found not in (None, but):
        # Imported when needed: it knows every package's errors.
        from service.errors import InstanceUnfinished

        raise InstanceUnfinished(instance, found.split()[0])


@contextmanager
def unfinished(instance: Path, what: str) -> Iterator[None]:
    """Mark the folder as incomplete until the block ends well."""
    path = instance / UNFINISHED
    replace(path, what.encode(), mode=PRIVATE)
    yield
    path.unlink()
