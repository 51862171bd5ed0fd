"""The files in which the processes of an instance share their metrics, and their sum.

Each process maps files of its own, so what it counted outlives it however it ends. What processes
that are gone have counted is added to one file: restarts without end would fill the folder, and
each of them would slow every reading from then on.
"""

from __future__ import annotations

import fcntl
import json
import mmap
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram, Metric, generate_latest
from prometheus_client.mmap_dict import MmapedDict, mmap_key
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.utils import INF, floatToGoString

MULTIPROCESS_VARIABLE: Final = "PROMETHEUS_MULTIPROC_DIR"
KINDS: Final = ("counter", "histogram")
LOCK: Final = "lock"
GONE: Final = "gone"
DIRECT: Final = "direct"  # files that are written past prometheus_client
NUMBER_BYTES: Final = 8


def prepare_folder(folder: Path) -> None:
    """Make the folder that processes share their metrics in, without those of an earlier run."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for file in folder.iterdir():
        file.unlink(missing_ok=True)


def shared_folder() -> Path | None:
    """The folder that this process shares its metrics in, if it is not alone."""
    folder = os.environ.get(MULTIPROCESS_VARIABLE)
    return None if folder is None else Path(folder)


def join(folder: Path) -> None:
    """Wait until nobody removes files that a namesake of this process has left."""
    with _alone(folder):
        pass


def summed(folder: Path) -> bytes:
    """The metrics of all processes in Prometheus' text format, with what ended ones counted."""
    with _alone(folder):
        _bury_dead(folder)
        registry = CollectorRegistry()
        registry.register(_Sum(folder))
        return generate_latest(registry)


def tidy(folder: Path) -> None:
    """Add up what processes that are gone have counted."""
    with _alone(folder):
        _bury_dead(folder)


class Cells:
    """Numbers of this process that whoever knows their places adds to, and that `summed` reads.

    `numbers` may be in new memory after places were made; what was known before stays valid: the
    file never shrinks, nothing in it moves, and the memory is the file's own.
    """

    def __init__(self, folder: Path, kind: str) -> None:
        self._file = folder / f"{kind}_{DIRECT}_{os.getpid()}.db"
        self.numbers = memoryview(b"").cast("d")

    def places(self, *keys: str) -> list[int]:
        """Where the numbers under these keys are; those that are missing are made, and zero."""
        made = MmapedDict(str(self._file))  # type: ignore[no-untyped-call]
        for key in keys:
            made.read_value(key)  # type: ignore[no-untyped-call]
        made.close()  # type: ignore[no-untyped-call]
        if self.numbers.nbytes < self._file.stat().st_size:
            with self._file.open("r+b") as file:
                self.numbers = memoryview(mmap.mmap(file.fileno(), 0)).cast("d")
        values = MmapedDict.read_all_values_from_file(str(self._file))  # type: ignore[no-untyped-call]
        found = {key: offset // NUMBER_BYTES for key, _, _, offset in values}
        return [found[key] for key in keys]


def counter_key(counter: Counter, **labels: str) -> str:
    """What a counter's number is filed under."""
    [metric] = counter.describe()
    return _key(metric, "_total", labels)


def histogram_keys(histogram: Histogram, bounds: Iterable[float], **labels: str) -> list[str]:
    """What a histogram's sum is filed under, and then its buckets, the last of which is endless."""
    [metric] = histogram.describe()
    ends = [floatToGoString(bound) for bound in (*bounds, INF)]  # type: ignore[no-untyped-call]
    buckets = [_key(metric, "_bucket", {**labels, "le": end}) for end in ends]
    return [_key(metric, "_sum", labels), *buckets]


def _key(metric: Metric, part: str, labels: Mapping[str, str]) -> str:
    name = metric.name
    return mmap_key(name, f"{name}{part}", [*labels], [*labels.values()], metric.documentation)


class _Sum(MultiProcessCollector):
    """Every process's files but those that are being made."""

    def __init__(self, folder: Path) -> None:
        super().__init__(None, str(folder))  # type: ignore[no-untyped-call]
        self._folder = folder

    def collect(self) -> Iterable[Metric]:
        files = [str(file) for file in self._folder.glob("*.db") if file.stat().st_size]
        metrics: Iterable[Metric] = self.merge(files)  # type: ignore[no-untyped-call]
        return metrics


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keep others from adding up; what a killed one has left is finished first."""
    descriptor = os.open(folder / LOCK, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        for kind in KINDS:
            _finish(folder, kind)
        yield
    finally:
        os.close(descriptor)


def _bury_dead(folder: Path) -> None:
    for file in _left(folder, "gauge"):  # says how a process is, which is no more
        file.unlink()
    for kind in KINDS:
        files = _left(folder, kind)
        if files:
            _add_up(folder, kind, files)


def _left(folder: Path, kind: str) -> list[Path]:
    """The files of processes that are gone."""
    return [file for file in folder.glob(f"{kind}_*.db") if not _lives(file)]


def _lives(file: Path) -> bool:
    process = file.stem.rpartition("_")[2]
    return process == GONE or Path("/proc", process).exists()


def _add_up(folder: Path, kind: str, files: list[Path]) -> None:
    """Move values to the file of all that is gone; neither twice nor never, however this ends.

    The list of files is what commits: from then on the new sum stands, and they are removed.
    """
    new, listed = folder / f"{kind}.new", folder / f"{kind}.listed"
    new.unlink(missing_ok=True)
    _write_sum(new, [*files, *folder.glob(f"{kind}_{GONE}.db")])
    draft = folder / f"{kind}.draft"
    draft.write_text(json.dumps([file.name for file in files]))
    draft.rename(listed)
    _finish(folder, kind)


def _write_sum(new: Path, files: list[Path]) -> None:
    sums: dict[str, float] = {}
    for file in files:
        if not file.stat().st_size:
            continue  # its process ended while it made it
        values = MmapedDict.read_all_values_from_file(str(file))  # type: ignore[no-untyped-call]
        for key, value, _, _ in values:
            sums[key] = sums.get(key, 0.0) + value
    written = MmapedDict(str(new))  # type: ignore[no-untyped-call]
    for key, value in sums.items():
        written.write_value(key, value, 0.0)  # type: ignore[no-untyped-call]
    written.close()  # type: ignore[no-untyped-call]


def _finish(folder: Path, kind: str) -> None:
    new, listed = folder / f"{kind}.new", folder / f"{kind}.listed"
    if not listed.exists():
        return
    if new.exists():
        new.rename(folder / f"{kind}_{GONE}.db")
    for name in json.loads(listed.read_text()):
        (folder / name).unlink(missing_ok=True)
    listed.unlink()
