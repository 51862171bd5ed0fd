"""How long after a promotion or rollback every worker answers from the version that it leads to.

    python -m benchmarks.promotion INSTANCE     an installation as `manage.py init --demo` makes it

Prints seconds from sending the request to the first of twenty answers in a row, over connections
of their own, that all come from the other version; 200 predictions a second go on beside.
"""

from __future__ import annotations

import statistics
import sys
import time
from pathlib import Path
from typing import Final

import numpy as np
from sklearn.linear_model import LinearRegression

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from models.handlers.skops_file import write_skops
from tests.journeys.platform import Running, bearer, predicting, running

TIMES: Final = 10
IN_A_ROW: Final = 20


def main(instance: Path) -> None:
    """Promote and roll back ten times."""
    rows = np.array([[1.0, 2.0], [2.0, 4.0], [3.0, 5.0]])
    file = write_skops(LinearRegression().fit(rows, rows.sum(axis=1)))
    with running(instance) as platform:
        ben, rob = (platform.login(name)["access_token"] for name in ("ben", "rob"))
        headers = bearer(ben) | {"X-Model-Format": "skops", "Prefer": "wait=60"}
        _call(platform, "POST", "/models/linear/versions", headers, content=file)
        with predicting(platform, rob, per_second=200) as load:
            promoted, returned = [], []
            for _ in range(TIMES):
                promoted.append(_moved(platform, ben, rob, to=2))
                returned.append(_moved(platform, ben, rob, to=1))
        print(f"promotion: median {statistics.median(promoted):.2f} s, most {max(promoted):.2f} s")
        print(f"rollback:  median {statistics.median(returned):.2f} s, most {max(returned):.2f} s")
        print(f"predictions beside: {load.statuses.total()}, failed {load.failures}")


def _moved(platform: Running, ben: str, rob: str, *, to: int) -> float:
    started, path = time.perf_counter(), "/models/linear/aliases/champion"
    if to == 2:
        _call(platform, "PUT", path, bearer(ben), json={"version": to})
    else:
        _call(platform, "POST", f"{path}/rollback", bearer(ben))
    seen, first = 0, 0.0
    while seen < IN_A_ROW:
        asked = time.perf_counter()
        is_new = platform.predict(rob).json()["version"] == to
        first = asked if is_new and not seen else first
        seen = seen + 1 if is_new else 0
    return first - started


def _call(
    platform: Running, method: str, path: str, headers: dict[str, str], **options: object
) -> None:
    with platform.client() as client:
        response = client.request(method, path, headers=headers, timeout=90, **options)  # type: ignore[arg-type]
    assert response.is_success, response.text


if __name__ == "__main__":
    main(Path(sys.argv[1]))
