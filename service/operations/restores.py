"""A restore: a whole installation from a backup, or nothing.

The file is read twice. The first reading checks every byte before anything is made; the second
fills the folder and, in one transaction, the database. An interrupted restore leaves a mark, and
the next one begins by removing what it left.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson
from sqlalchemy import Select, func, inspect, select

from certs.files import PRIVATE, locked, replace
from config import migrations
from config.database import Database
from config.errors import ConfigurationError, SealBroken
from config.sealed_stream import SealedReader
from config.settings import PREFIX, Settings, decode_master_keys, load_settings
from models.records import VersionRow
from service.bootstrap import assemble
from service.errors import BackupBroken, InstanceUnfinished, RestoreRefused
from service.operations.backup_entries import FORMAT, PURPOSE, Entry, read_entries
from service.operations.backups import settings_worth_keeping
from service.operations.instance_state import MASTER_KEY, UNFINISHED, under_way, unfinished
from service.operations.restoration import Restoration

RESTORING: Final = "restore"
KEPT: Final = frozenset({MASTER_KEY, UNFINISHED, ".lock"})
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Restored:
    """An installation that was built from a backup."""

    instance: str
    created_at: float  # when the backup was made
    revision: str
    artefacts: int
    audit_head: str
    settings_that_differ: tuple[str, ...]


def restore(
    instance: Path,
    path: Path,
    *,
    master_key_file: Path | None = None,
    progress: Progress = lambda done, total: None,
) -> Restored:
    """Build the installation that the backup holds; raises BackupBroken or RestoreRefused.

    A master key file given becomes the instance's own, for every later command needs it.
    """
    key = master_key_file.read_text() if master_key_file else None
    settings = _settings(instance, key)
    source = _Source(path, settings, progress)
    about = source.check()
    mark = f"{RESTORING} {source.name}"
    instance.mkdir(mode=0o700, parents=True, exist_ok=True)
    with locked(instance):
        if under_way(instance) == mark and _has_tables(settings):
            (instance / UNFINISHED).unlink()  # the database is filled last: nothing else is left
        else:
            _refuse_occupied(settings, key)
            _fill(settings, source, mark, key)
    return _describe(settings, about)


def _settings(instance: Path, key: str | None) -> Settings:
    try:
        return load_settings(instance, master_keys=decode_master_keys(key) if key else None)
    except ConfigurationError as error:
        if error.setting != f"{PREFIX}MASTER_KEY":
            raise
        remedy = "Give the backup's: set the variable (or its _FILE), or --master-key-file"
        raise ConfigurationError(error.setting, error.problem, remedy) from error


def _fill(settings: Settings, source: _Source, mark: str, key: str | None) -> None:
    key_file = settings.instance / MASTER_KEY
    kept = KEPT if key_file.exists() else KEPT - {MASTER_KEY}
    try:
        with unfinished(settings.instance, mark):
            settings.instance.chmod(0o700)
            if key is not None:
                replace(key_file, key.encode(), mode=PRIVATE)
            _build(settings, source)
    except BaseException:
        _clear(settings.instance, kept - {UNFINISHED})
        raise


def _build(settings: Settings, source: _Source) -> None:
    platform = assemble(settings)
    with closing(platform):
        with platform.database.write() as session:
            restoration = Restoration(platform, session, source.path)
            for entry in source.entries():
                restoration.take(entry)
            restoration.finish(source.name)
        platform.epoch.publish()


class _Source:
    """A backup file, read twice."""

    def __init__(self, path: Path, settings: Settings, progress: Progress) -> None:
        self.path = path
        self._keys = settings.master_keys
        self._progress = progress
        self._total = 2 * path.stat().st_size
        self._done = 0
        self.name = ""

    def check(self) -> dict[str, Any]:
        """Read everything once, and return what the backup says of itself."""
        try:
            with self.path.open("rb") as file:
                stream = SealedReader(file, self._keys, purpose=PURPOSE)
                entries = self._follow(stream)
                about: dict[str, Any] = orjson.loads(next(entries).body)
                for _ in entries:
                    pass
        except SealBroken as error:
            raise BackupBroken(self.path, str(error)) from error
        if about["format"] > FORMAT or not migrations.knows(about["revision"]):
            raise BackupBroken(self.path, "a later release made it; restore it with that release")
        self._done = self._total // 2
        self.name = stream.name
        return about

    def entries(self) -> Iterator[Entry]:
        """Read everything again."""
        with self.path.open("rb") as file:
            yield from self._follow(SealedReader(file, self._keys, purpose=PURPOSE))

    def _follow(self, stream: SealedReader) -> Iterator[Entry]:
        for entry in read_entries(stream):
            self._progress(self._done + stream.offset, self._total)
            yield entry


def _refuse_occupied(settings: Settings, key: str | None) -> None:
    """Raise unless folder and database are empty, but for what an interrupted restore left."""
    instance = settings.instance
    interrupted = under_way(instance)
    if interrupted is not None and not interrupted.startswith(RESTORING):
        raise InstanceUnfinished(instance, interrupted)
    if interrupted is not None:
        _clear(instance, KEPT)
    key_file = instance / MASTER_KEY
    for path in instance.iterdir():
        if path.name not in KEPT:
            raise RestoreRefused(str(path))
    if key is not None and key_file.exists() and key_file.read_text() != key:
        raise RestoreRefused(str(key_file))
    if _has_tables(settings):
        raise RestoreRefused("the database")


def _has_tables(settings: Settings) -> bool:
    database = Database(settings.database)
    path = database.url.database
    if database.dialect == "sqlite" and not (path and Path(path).exists()):
        return False  # asking would make the file
    with closing(database):
        return bool(inspect(database.engine).get_table_names())


def _clear(instance: Path, kept: frozenset[str]) -> None:
    # The mark goes last: until then the next restore knows that all of this may go.
    for path in sorted(instance.iterdir(), key=lambda path: path.name == UNFINISHED):
        if path.name in kept:
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def _kept_versions() -> Select[int]:
    return select(func.count(VersionRow.sealed_key))


def _describe(settings: Settings, about: dict[str, Any]) -> Restored:
    now = orjson.loads(orjson.dumps(settings_worth_keeping(settings)))
    then = about["settings"]
    with closing(assemble(settings)) as platform, platform.database.read() as session:
        return Restored(
            instance=str(settings.instance),
            created_at=about["created_at"],
            revision=migrations.newest_revision(),
            artefacts=session.scalar(_kept_versions()) or 0,
            audit_head=str(platform.audit.head(session)),
            settings_that_differ=tuple(
                f"{PREFIX}{name.upper()} was {then.get(name, 'the default')}"
                for name in sorted(now.keys() | then.keys())
                if now.get(name) != then.get(name)
            ),
        )
