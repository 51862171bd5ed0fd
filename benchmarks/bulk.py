"""A million rows in one call: rows a second and memory by form, over TLS through a real server.

PYTHONPATH=. python benchmarks/bulk.py [ROWS]
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
from sklearn.linear_model import LinearRegression

from examples.client import Client
from models.handlers.skops_file import write_skops
from tests.journeys.platform import ROOT, Running, running

ROWS = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
COLUMNS = 30
NAMES = [f"x{number}" for number in range(COLUMNS)]
ENDINGS = (".npy", ".arrows", ".parquet", ".csv")
HEADINGS = (
    f"{'rows':>9} {'answers':>8} {'MB':>6} {'s':>6} {'rows/s':>10} {'worker':>8} {'reader':>8}"
)


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory(prefix="bulk-") as name:
        folder = Path(name)
        values = np.random.default_rng(0).normal(size=(ROWS, COLUMNS))
        write_files(folder, values)
        with serving(folder) as platform:
            client = Client(platform.url, platform.instance / "certs" / "ca.pem")
            client.login(platform.credentials("ada"))
            print(f"{ROWS:,} rows of {COLUMNS} numbers; MB: the file; worker, reader: MB gained")
            print(HEADINGS)
            for ending in ENDINGS:
                for answer in dict.fromkeys((ending, ".npy")):
                    measure(platform, client, folder, ending, answer)


@contextmanager
def serving(folder: Path) -> Iterator[Running]:
    """One worker, and a model of thirty columns."""
    command = [sys.executable, "manage.py", "--instance", str(folder / "instance")]
    manage = [*command, "models", "import", "wide", str(folder / "wide.skops"), "--tenant", "acme"]
    model = LinearRegression().fit(np.eye(COLUMNS), np.arange(COLUMNS))
    (folder / "wide.skops").write_bytes(write_skops(model))
    for words in ([*command, "init", "--demo"], manage):
        subprocess.run(words, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    with running(folder / "instance", WORKERS=1) as platform:
        yield platform


def write_files(folder: Path, values: Any) -> None:
    """The same rows in every form."""
    table = pa.table(dict(zip(NAMES, values.T, strict=True)))
    np.save(folder / "rows.npy", values)
    pq.write_table(table, folder / "rows.parquet")
    with pa.ipc.new_stream(folder / "rows.arrows", table.schema) as writer:
        writer.write_table(table, max_chunksize=65_536)
    pd.DataFrame(values, columns=NAMES).to_csv(folder / "rows.csv", index=False)


def measure(platform: Running, client: Client, folder: Path, ending: str, answer: str) -> None:
    """Send one file twice, and print the second time."""
    rows, answers = folder / f"rows{ending}", folder / f"answers{answer}"
    client.predict_file(rows, answers, model="wide")
    with watched(platform) as most:
        began = time.perf_counter()
        client.predict_file(rows, answers, model="wide")
        seconds = time.perf_counter() - began
    size = rows.stat().st_size / 1e6
    gained = f"{most['worker'] / 1e6:8.0f} {most['reader'] / 1e6:8.0f}"
    rate = f"{ROWS / seconds:10,.0f}"
    print(f"{ending[1:]:>9} {answer[1:]:>8} {size:6.0f} {seconds:6.2f} {rate} {gained}")


@contextmanager
def watched(platform: Running) -> Iterator[dict[str, int]]:
    """The most memory that the worker, and a process which was not there before, has gained."""
    [worker] = platform.workers()
    root = psutil.Process(platform.process.pid)
    known = {process.pid for process in root.children(recursive=True)}
    before, most, over = worker.memory_info().rss, {"worker": 0, "reader": 0}, threading.Event()

    def watch() -> None:
        while not over.wait(0.02):
            most["worker"] = max(most["worker"], worker.memory_info().rss - before)
            for process in root.children(recursive=True):
                if process.pid not in known:
                    most["reader"] = max(most["reader"], private(process))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield most
    finally:
        over.set()
        thread.join()


def private(process: psutil.Process) -> int:
    """What a process does not share with its nursery."""
    try:
        found = process.memory_full_info()
    except psutil.Error:
        return 0
    return int(found.uss)


if __name__ == "__main__":
    main()
