"""What was counted of versions, in the protocol's form."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from config.counters import VersionStatistics


def describe_statistics(versions: Sequence[VersionStatistics]) -> dict[str, Any]:
    """The statistics of versions, exact over all workers.

    Nothing is batched or cached for a client here, so that those parts are empty or zero.
    """
    return {"model_stats": [_describe(version) for version in versions]}


def _describe(counted: VersionStatistics) -> dict[str, Any]:
    done = counted.success_count
    return {
        "name": counted.model,
        "version": str(counted.number),
        "last_inference": counted.last_ms,
        "inference_count": counted.rows,
        "execution_count": counted.executions,
        "inference_stats": {
            "success": _duration(done, counted.success_ns),
            "fail": _duration(counted.fail_count, counted.fail_ns),
            "queue": _duration(done, counted.queue_ns),
            "compute_input": _duration(done, counted.decode_ns),
            "compute_infer": _duration(done, counted.compute_ns),
            "compute_output": _duration(done, counted.encode_ns),
            "cache_hit": _duration(0, 0),
            "cache_miss": _duration(0, 0),
        },
        "batch_stats": [],
    }


def _duration(count: int, nanoseconds: int) -> dict[str, int]:
    return {"count": count, "ns": nanoseconds}
