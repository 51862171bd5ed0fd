"""What may be wrong with the ground the platform stands on."""

from __future__ import annotations


class ConfigurationError(Exception):
    """Raised when a setting is missing, malformed or contradicts another."""

    def __init__(self, setting: str, problem: str, remedy: str) -> None:
        self.setting = setting
        self.problem = problem
        self.remedy = remedy
        super().__init__(f"{setting}: {problem}. {remedy}")


class SealBroken(Exception):
    """Raised when a sealed value opens under no master key, or was moved or altered."""

    def __init__(self, what: str) -> None:
        self.what = what
        super().__init__(
            f"{what} cannot be opened: it was altered or moved, "
            "or the master key that sealed it is not among SALLYPORT_MASTER_KEY"
        )


class DatabaseOutOfDate(Exception):
    """Raised when the database's revision is not the one that this code is written for."""

    def __init__(self, found: str | None, expected: str) -> None:
        self.found = found
        self.expected = expected
        super().__init__(
            f"the database is at revision {found or 'none'}, this release needs {expected}; "
            "run: manage.py database upgrade"
        )


class CounterStoreDown(Exception):
    """Raised when the shared counter store does not answer in time."""

    def __init__(self, store: str, reason: str) -> None:
        self.store = store
        self.reason = reason
        super().__init__(f"the counter store {store} does not answer: {reason}")
