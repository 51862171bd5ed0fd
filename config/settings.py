"""Every setting of the platform, read once from the environment into one frozen object.

A setting `x_y` is read from `SALLYPORT_X_Y`; a secret may instead come from the file that
`SALLYPORT_X_Y_FILE` names. docs/reference/settings.md is checked against this module by a test.
"""

from __future__ import annotations

import base64
import binascii
import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final, Literal, get_args, get_type_hints
from urllib.parse import urlsplit

from environs import EnvError, FileAwareEnv

from config.errors import ConfigurationError

PREFIX: Final = "SALLYPORT_"
MASTER_KEY_BYTES: Final = 32
MAX_PORT: Final = 65_535
PORT: Final = re.compile(r"[0-9]{1,5}")
BUCKET: Final = re.compile(
    r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[A-Za-z0-9_-][A-Za-z0-9._-]*)*/?"
)
# In the clear only where nobody listens: requests show which models are used, and when.
ENDPOINT: Final = re.compile(
    r"(https://[^/@?#\s]+|http://(127\.0\.0\.1|localhost|\[::1\])(:[0-9]+)?)/?"
)

COLLECTOR: Final = re.compile(ENDPOINT.pattern.removesuffix("/?") + r"(/[A-Za-z0-9._~/-]*)?")
OTEL_HEADERS: Final = re.compile(r"[A-Za-z0-9-]+=[ -+.-~-]+(,[A-Za-z0-9-]+=[ -+.-~-]+)*")


def setting(default: Any, description: str, *, secret: bool = False) -> Any:
    """Declare a field of Settings with the sentence that the reference shows."""
    return field(default=default, repr=not secret, metadata={"description": description})


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """The platform's settings. Durations are seconds, sizes bytes, rates per minute."""

    instance: Path = field(metadata={"description": "folder of this installation's state"})
    master_keys: tuple[bytes, ...] = field(
        repr=False,
        metadata={
            "description": "base64 keys of 32 bytes, comma-separated; the first seals, all open"
        },
    )
    host: str = setting("127.0.0.1", "address to listen on")
    port: int = setting(8443, "port of the HTTPS listener")
    workers: int = setting(2, "number of web worker processes")
    threads: int = setting(4, "requests that one web worker handles at once")
    url: str = setting("https://localhost:8443", "public address: issuer of tokens, links")
    server_names: tuple[str, ...] = setting(
        ("localhost", "127.0.0.1", "::1"), "names and addresses on the server certificate"
    )
    drain_seconds: float = setting(20.0, "how long a stopping worker may finish its requests")
    client_certificate_port: int = setting(0, "port of the mutual-TLS listener; 0 is off")
    grpc_port: int = setting(0, "port of the gRPC listener; 0 is off")
    tls_profile: Literal["modern", "intermediate"] = setting(
        "modern", "Mozilla's TLS profile: modern is TLS 1.3, intermediate allows TLS 1.2"
    )
    certificate_days: int = setting(90, "lifetime of issued certificates, at most 90")
    database_url: str = setting("", "SQLAlchemy URL; empty is SQLite in the instance", secret=True)
    counters_url: str = setting("", "redis:// or rediss:// URL; empty is LMDB", secret=True)
    artefacts_url: str = setting("", "s3://bucket/prefix; empty is a folder of the instance")
    artefacts_endpoint: str = setting("", "address of an S3-compatible server; empty is AWS's own")
    artefacts_region: str = setting("us-east-1", "region that S3 requests are signed for")
    artefacts_access_key: str = setting("", "access key of the bucket", secret=True)
    artefacts_secret_key: str = setting("", "secret key of the bucket", secret=True)
    audience: str = setting("sallyport", "audience of access tokens")
    signing_algorithm: Literal["ES256", "RS256"] = setting("ES256", "algorithm of new keys")
    access_seconds: int = setting(900, "lifetime of an access token, at most 3600")
    refresh_seconds: int = setting(30 * 86400, "lifetime of a session's refresh tokens")
    refresh_grace_seconds: int = setting(10, "how long a used refresh token still answers")
    leeway_seconds: int = setting(30, "clock leeway on token times, at most 60")
    jwks_max_age: int = setting(10, "max-age of the published key set")
    publish_skew_seconds: int = setting(2, "added to jwks_max_age before a new key may sign")
    retired_seconds: int = setting(0, "how long a retired key verifies; 0 is the least safe span")
    password_min_length: int = setting(15, "least length without a second factor, at least 15")
    hashing_memory_kib: int = setting(19 * 1024, "Argon2id memory, at least 19456")
    hashing_passes: int = setting(2, "Argon2id passes, at least 2")
    hashing_parallel: int = setting(1, "password hashes that one worker computes at once")
    hashing_queue: int = setting(8, "logins that may wait for the hash before 503")
    login_attempts_per_minute: int = setting(5, "guesses per account and address together")
    login_account_attempts_per_hour: int = setting(50, "guesses per account from anywhere")
    login_address_attempts_per_minute: int = setting(60, "guesses per address on any account")
    address_requests_per_minute: int = setting(3000, "requests without a known token, by address")
    trusted_proxies: int = setting(0, "number of reverse proxies whose X-Forwarded-For counts")
    max_body_bytes: int = setting(8 * 1024 * 1024, "largest request body")
    max_model_bytes: int = setting(512 * 1024 * 1024, "largest upload of a model, rows included")
    intake_seconds: int = setting(600, "how long one intake of a model may take")
    waiting_jobs: int = setting(16, "intake jobs of one tenant that may wait or run at once")
    job_days: int = setting(30, "how long a finished intake job is listed")
    free_disk_bytes: int = setting(256 * 1024 * 1024, "what uploads leave free on the disk")
    max_rows: int = setting(100_000, "most rows in one prediction")
    max_bulk_bytes: int = setting(1024**3, "largest file of rows to predict, and of answers")
    max_bulk_rows: int = setting(10_000_000, "most rows in one file to predict")
    bulk_seconds: int = setting(900, "how long one file of rows may take, once it has arrived")
    bulk_memory_bytes: int = setting(1024**3, "what reading one file of rows may take")
    max_columns: int = setting(10_000, "most columns in one row")
    max_depth: int = setting(8, "deepest nesting of a JSON body, at most 64")
    model_cache_bytes: int = setting(512 * 1024 * 1024, "artefact bytes a worker keeps open")
    predict_seconds: float = setting(30.0, "how long a model may take to answer one prediction")
    hosts_most: int = setting(64, "most processes that run tenants' models, one for each tenant")
    host_memory_bytes: int = setting(1024**3, "what a tenant's models may take in their process")
    hosts_imports: Literal["early", "late"] = setting(
        "early", "models' libraries are imported at the start, or when they are needed"
    )
    host_idle_seconds: float = setting(300.0, "how long a process of models may idle")
    hosts_socket_folder: str = setting("", "folder of the sockets to them; empty is the instance's")
    workshop_memory_bytes: int = setting(4 * 1024**3, "what opening one uploaded model may take")
    training_memory_bytes: int = setting(4 * 1024**3, "what one training may take")
    training_seconds: int = setting(3600, "how long one training may take")
    training_runners: int = setting(1, "trainings that one worker carries out at once")
    sandbox_level: Literal["full", "reduced"] = setting(
        "reduced", "least level of the sandbox at which models are opened and run"
    )
    log_level: Literal["debug", "info", "warning", "error"] = setting("info", "least level logged")
    log_format: Literal["json", "console"] = setting("json", "form of the log on standard error")
    otel_endpoint: str = setting("", "address of an OpenTelemetry collector; empty is no traces")
    otel_headers: str = setting("", "name=value,... sent to the collector", secret=True)
    otel_ca_file: str = setting("", "CA file of the collector; empty is the public ones")
    otel_sample_ratio: float = setting(0.01, "share of all calls that become traces")

    def __post_init__(self) -> None:
        _check_choices(self)
        _check_ranges(self)
        _check_audience(self)
        _check_url(self)
        _check_artefacts(self)
        _check_collector(self)
        _check_key_spans(self)

    @property
    def database(self) -> str:
        """The SQLAlchemy URL with the default filled in."""
        return self.database_url or f"sqlite:///{self.instance / 'sallyport.db'}"

    @property
    def retired_span(self) -> int:
        """Seconds for which a retired signing key must still verify."""
        return self.retired_seconds or self.access_seconds + self.leeway_seconds

    @property
    def issuer(self) -> str:
        """The `iss` of every token: the public address."""
        return self.url

    @property
    def answering(self) -> int:
        """How many processes answer calls, whichever door they stand at."""
        others = int(self.client_certificate_port > 0) + self.workers * int(self.grpc_port > 0)
        return self.workers + others

    @property
    def uploads(self) -> Path:
        """Folder of what was uploaded and is not a version yet, sealed."""
        return self.instance / "uploads"

    @property
    def hosts_sockets(self) -> Path:
        """Folder of the sockets of what runs tenants' models."""
        return Path(self.hosts_socket_folder) if self.hosts_socket_folder else self.state

    @property
    def state(self) -> Path:
        """Folder of what is rebuilt after a reboot: counters, sockets, metrics."""
        return self.instance / "state"


def load_settings(instance: Path | None = None, **overrides: Any) -> Settings:
    """Read the settings of one installation; raises ConfigurationError naming what is wrong.

    `instance` outranks SALLYPORT_INSTANCE, which outranks ./instance; `overrides` (the command
    line's options) outrank the environment. Every SALLYPORT_ variable must be a known setting,
    so that a misspelt one is not silently without effect.
    """
    _refuse_unknown()
    env = FileAwareEnv(prefix=PREFIX, strip_whitespace=True)
    folder = (instance or Path(os.environ.get(f"{PREFIX}INSTANCE", "instance"))).absolute()
    values = {f.name: _read(env, f.name, f.default) for f in fields(Settings)[2:]}
    values |= {name: value for name, value in overrides.items() if value is not None}
    keys = values.pop("master_keys", None) or _master_keys(env, folder)
    return Settings(instance=folder, master_keys=keys, **values)


def _read(env: FileAwareEnv, name: str, default: Any) -> Any:
    readers: dict[type, Callable[[str, Any], Any]] = {
        int: env.int,
        float: env.float,
        tuple: env.list,
        str: env.str,
    }
    try:
        value = readers[type(default)](name.upper(), default)
    except (EnvError, ValueError) as error:
        raise ConfigurationError(
            f"{PREFIX}{name.upper()}", str(error).rstrip("."), f"Its default is {default!r}"
        ) from error
    if isinstance(default, int | float) and not env.str(name.upper(), "").isascii():
        _refuse(name, "a number is written in the digits 0 to 9", f"Its default is {default!r}")
    return tuple(value) if isinstance(default, tuple) else value


def _master_keys(env: FileAwareEnv, instance: Path) -> tuple[bytes, ...]:
    """Read the master keys: the variable, the file it names, or instance/master.key."""
    text = _read(env, "master_key", "")
    path = instance / "master.key"
    if not text and path.is_file():
        text = path.read_text()
    if not text:
        is_made = (instance / "certs").exists()  # a new key would open nothing of it
        remedy = "Put it back" if is_made else "Run: manage.py init"
        raise ConfigurationError(
            f"{PREFIX}MASTER_KEY",
            f"no master key, and no file {path}",
            f"{remedy}, or set the variable (or its _FILE)",
        )
    return decode_master_keys(text)


def decode_master_keys(text: str) -> tuple[bytes, ...]:
    """Read master keys as the variable or a file gives them; raises ConfigurationError."""
    parts = [part for part in text.replace("\n", ",").split(",") if part.strip()]
    return tuple(_decode_master_key(part) for part in parts or [""])


def _decode_master_key(text: str) -> bytes:
    try:
        key = base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != MASTER_KEY_BYTES:
        raise ConfigurationError(
            f"{PREFIX}MASTER_KEY",
            "a key is not 32 bytes in base64",
            "Make one with: openssl rand -base64 32",
        )
    return key


def _refuse_unknown() -> None:
    names = {f.name.upper() for f in fields(Settings)} - {"MASTER_KEYS"} | {"MASTER_KEY"}
    for variable in os.environ:
        if not variable.startswith(PREFIX):
            continue
        if variable.removeprefix(PREFIX).removesuffix("_FILE") not in names:
            raise ConfigurationError(
                variable, "no setting has this name", "See docs/reference/settings.md"
            )


def _check_choices(settings: Settings) -> None:
    for name, hint in get_type_hints(Settings).items():
        choices = get_args(hint)
        value = getattr(settings, name)
        if str(hint).startswith("typing.Literal") and value not in choices:
            _refuse(name, f"{value!r} is none of {', '.join(choices)}", "Choose one")


def _check_ranges(settings: Settings) -> None:
    for name, (least, most) in _RANGES.items():
        if not least <= getattr(settings, name) <= most:
            _refuse(name, f"{getattr(settings, name)} is outside {least} to {most}", "Change it")


def _check_audience(settings: Settings) -> None:
    if not settings.audience.strip():
        _refuse("audience", "tokens need an audience", "Give a name, or leave the variable out")


def _check_url(settings: Settings) -> None:
    # Not shown in the refusal: what is wrong with it may be a password.
    problem = _url_problem(settings.url)
    if problem is not None:
        _refuse("url", f"the value {problem}", "Give https://host[:port]")


def _url_problem(url: str) -> str | None:
    if not url.isprintable() or any(character.isspace() for character in url):
        return "holds white space or control characters"
    try:
        parts = urlsplit(url)
    except ValueError:
        return "is not an https address"
    if "@" in url:
        return "names a user"
    if "#" in url:
        return "has a fragment"
    if parts.scheme != "https" or not parts.hostname or parts.path or "?" in url:
        return "is not an https address"
    _, colon, port = parts.netloc.rpartition("]")[2].partition(":")
    if colon and not (PORT.fullmatch(port) and 1 <= int(port) <= MAX_PORT):
        return f"has a port that is not within 1 to {MAX_PORT}"
    return None


def _check_artefacts(settings: Settings) -> None:
    if settings.artefacts_endpoint and not ENDPOINT.fullmatch(settings.artefacts_endpoint):
        _refuse("artefacts_endpoint", "the value is no https address", "Give https://host[:port]")
    if not settings.artefacts_url:
        return
    if not BUCKET.fullmatch(settings.artefacts_url):
        _refuse("artefacts_url", "the value is no s3://bucket/prefix", "Give one, or nothing")
    for name in ("artefacts_access_key", "artefacts_secret_key"):
        if not getattr(settings, name):
            _refuse(name, "the bucket needs one", "Set the variable, or its _FILE")


def _check_collector(settings: Settings) -> None:
    if settings.otel_endpoint and not COLLECTOR.fullmatch(settings.otel_endpoint):
        _refuse("otel_endpoint", "the value is no https address", "Give https://host[:port][/path]")
    if settings.otel_headers and not OTEL_HEADERS.fullmatch(settings.otel_headers):
        _refuse("otel_headers", "the value is not name=value,...", "Give such pairs, or nothing")


def _check_key_spans(settings: Settings) -> None:
    # A retired key must outlive every token that it signed, or valid tokens would be refused.
    least = settings.access_seconds + settings.leeway_seconds
    if settings.retired_span < least:
        _refuse(
            "retired_seconds",
            f"{settings.retired_seconds} is shorter than access_seconds + leeway_seconds",
            f"Give at least {least}, or 0 for the least safe span",
        )


def _refuse(name: str, problem: str, remedy: str) -> None:
    raise ConfigurationError(f"{PREFIX}{name.upper()}", problem, remedy)


_RANGES: Final[dict[str, tuple[float, float]]] = {
    "port": (0, MAX_PORT),
    "workers": (1, 512),
    "threads": (1, 256),
    "drain_seconds": (0.5, 3600),
    "client_certificate_port": (0, MAX_PORT),
    "grpc_port": (0, MAX_PORT),
    "certificate_days": (1, 90),
    "access_seconds": (30, 3600),
    "refresh_seconds": (300, 366 * 86_400),
    "refresh_grace_seconds": (0, 60),
    "leeway_seconds": (0, 60),
    "jwks_max_age": (0, 86_400),
    "publish_skew_seconds": (0, 3600),
    "retired_seconds": (0, 366 * 86_400),
    "password_min_length": (15, 128),
    "hashing_memory_kib": (19 * 1024, 4 * 1024 * 1024),
    "hashing_passes": (2, 100),
    "hashing_parallel": (1, 64),
    "hashing_queue": (0, 10_000),
    "login_attempts_per_minute": (1, 1_000),
    "login_account_attempts_per_hour": (1, 100_000),
    "login_address_attempts_per_minute": (1, 1_000_000),
    "address_requests_per_minute": (1, 10_000_000),
    "trusted_proxies": (0, 10),
    "max_body_bytes": (1024, 4 * 1024**3),
    "max_model_bytes": (1024, 64 * 1024**3),
    "intake_seconds": (5, 86_400),
    "waiting_jobs": (1, 10_000),
    "job_days": (1, 3660),
    "free_disk_bytes": (0, 1024**5),
    "max_rows": (1, 100_000_000),
    "max_bulk_bytes": (1024, 64 * 1024**3),
    "max_bulk_rows": (1, 10**12),
    "bulk_seconds": (5, 86_400),
    "bulk_memory_bytes": (64 * 1024**2, 1024**4),
    "max_columns": (1, 1_000_000),
    "max_depth": (3, 64),
    "model_cache_bytes": (1024 * 1024, 1024**4),
    "predict_seconds": (0.1, 3600),
    "hosts_most": (1, 10_000),
    "host_memory_bytes": (64 * 1024**2, 1024**4),
    "host_idle_seconds": (1, 7 * 86_400),
    "otel_sample_ratio": (0, 1),
    "workshop_memory_bytes": (256 * 1024**2, 1024**4),
    "training_memory_bytes": (256 * 1024**2, 1024**4),
    "training_runners": (1, 64),
    "training_seconds": (5, 7 * 86_400),
}
