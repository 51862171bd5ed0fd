"""The counters as a storage of the `limits` library, for its "moving-window" strategy.

Importing this module registers the scheme; flask-limiter then takes `strategy="moving-window"`,
`storage_uri="sallyport://"` and `storage_options={"counters": counters}`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final

from limits.storage import MovingWindowSupport, Storage

from config.counters import Charge, Counters
from config.errors import CounterStoreDown

SCHEME: Final = "sallyport"


class CounterStorage(Storage, MovingWindowSupport):
    """Lets `limits` charge our counters; one charge is one atomic step for all processes."""

    STORAGE_SCHEME = [SCHEME]  # noqa: RUF012 (the library's metaclass reads a list)

    def __init__(
        self,
        uri: str | None = None,
        wrap_exceptions: bool = False,
        *,
        counters: Counters,
        clock: Callable[[], float] = time.time,
        **options: Any,
    ) -> None:
        super().__init__(uri, wrap_exceptions=wrap_exceptions, **options)
        self._counters = counters
        self._clock = clock

    @property
    def base_exceptions(self) -> type[Exception]:
        """What a failing store raises."""
        return CounterStoreDown

    def acquire_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        """Charge the amount, or nothing; says whether it was admitted."""
        return self._counters.charge([charge_of(key, limit, expiry, amount)]).allowed

    def get_moving_window(self, key: str, limit: int, expiry: int) -> tuple[float, int]:
        """When the window began that frees next (Unix seconds), and what is counted in it."""
        verdict = self._counters.peek([charge_of(key, limit, expiry, 0)])
        return self._clock() + verdict.reset[0] - expiry, limit - verdict.remaining[0]

    def check(self) -> bool:
        """Whether the store answers."""
        try:
            self._counters.peek(())
        except CounterStoreDown:
            return False
        return True

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """Not offered: a fixed window admits twice the limit around its edge."""
        raise NotImplementedError(_ONLY_MOVING)

    def get(self, key: str) -> int:
        """Not offered, as `incr`."""
        raise NotImplementedError(_ONLY_MOVING)

    def get_expiry(self, key: str) -> float:
        """Not offered, as `incr`."""
        raise NotImplementedError(_ONLY_MOVING)

    def reset(self) -> int | None:
        """Not offered: what was charged stays charged until its window is over."""
        raise NotImplementedError(_NO_RESET)

    def clear(self, key: str) -> None:
        """Not offered, as `reset`."""
        raise NotImplementedError(_NO_RESET)


def charge_of(key: str, limit: int, expiry: int, amount: int) -> Charge:
    """The charge that stands for a limit of the library."""
    return Charge((SCHEME, key), amount, limit, float(expiry), key)


_ONLY_MOVING: Final = 'the counters know only the strategy "moving-window"; choose it'
_NO_RESET: Final = "the counters forget nothing before its window is over; raise the limit instead"
