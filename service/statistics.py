"""What a call did for the version that it was sent to, as other servers count it.

Triton's statistics extension: a call is a success or a failure of its version from the moment that
it has passed the gates; what a gate refuses is none. Waiting is what came before decoding, the
data plane's own gates included; encoding is counted as far as it is over when the place is left.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from config.counters import VersionStatistics
from models.versions import Version
from service.visits import Visit

INPUT: Final = ("decode", "bind")
COMPUTE: Final = ("compute",)
OUTPUT: Final = ("encode",)


def success(visit: Visit, version: Version, *, rows: int, executions: int) -> VersionStatistics:
    """What a call was that the version answered."""
    spent = visit.stages.spent
    decoded, computed, encoded = (_nanoseconds(spent, part) for part in (INPUT, COMPUTE, OUTPUT))
    total = round(visit.stages.total * 1e9)
    return VersionStatistics(
        version.tenant_id,
        version.model,
        version.number,
        success_count=1,
        success_ns=total,
        queue_ns=max(0, total - decoded - computed - encoded),
        decode_ns=decoded,
        compute_ns=computed,
        encode_ns=encoded,
        rows=rows,
        executions=executions,
    )


def failure(visit: Visit, version: Version) -> VersionStatistics:
    """What a call was that the version did not answer."""
    total = round(visit.stages.total * 1e9)
    return VersionStatistics(
        version.tenant_id, version.model, version.number, fail_count=1, fail_ns=total
    )


def _nanoseconds(spent: Mapping[str, float], stages: tuple[str, ...]) -> int:
    return round(sum(spent.get(stage, 0.0) for stage in stages) * 1e9)
