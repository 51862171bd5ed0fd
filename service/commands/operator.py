"""Whoever runs a command: the installation's platform, opened when it is first needed."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from auth.names import PLATFORM_TENANT
from config.settings import Settings, load_settings

if TYPE_CHECKING:
    from auth.scope import Scope
    from service.bootstrap import Platform


class Operator:
    """The installation in a folder, and the operator's scope in it."""

    def __init__(self, instance: Path) -> None:
        self.instance = instance

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if "platform" in self.__dict__:
            self.platform.close()

    @cached_property
    def settings(self) -> Settings:
        """The installation's settings."""
        return load_settings(self.instance)

    @cached_property
    def platform(self) -> Platform:
        """The platform, its database at this release's revision."""
        # Imported when needed: they take a second that `init --if-absent` should not.
        from config import migrations
        from config.logging import configure_logging
        from service.bootstrap import assemble

        configure_logging("warning", "console")
        platform = assemble(self.settings)
        migrations.check(platform.database)
        return platform

    def scope(self, tenant: str = PLATFORM_TENANT) -> Scope:
        """The operator's scope within a tenant."""
        from service.operations import tenants

        return tenants.operator_scope(self.platform, tenant)
