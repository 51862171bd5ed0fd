"""Files in a bucket of S3, or of a server that speaks its protocol.

Files are sealed before they come here, so that whoever runs the bucket can lose them but neither
read nor exchange them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from models.errors import StoreExtraMissing, StoreUnavailable

if TYPE_CHECKING:
    from config.settings import Settings

CONNECT_SECONDS: Final = 3
STALL_SECONDS: Final = 10  # without a byte; a large file may take longer in all
WHOLE_SECONDS: Final = 600
RETRIES: Final = 2
RETRY_SECONDS: Final = 15
NO_BUCKET: Final = "NoSuchBucket"


class S3Store:
    """Keeps `<prefix>/<tenant>/<name>` in one bucket."""

    def __init__(self, settings: Settings) -> None:
        try:
            import obstore
            from obstore import exceptions
            from obstore.store import S3Store as Bucket
        except ImportError as error:
            raise StoreExtraMissing("obstore", "s3") from error
        url = urlsplit(settings.artefacts_url)
        self.name = f"bucket {settings.artefacts_url}"
        self._api = obstore
        self._faults = (exceptions.BaseError, OSError)
        self._bucket = Bucket(
            url.netloc,
            prefix=url.path.strip("/") or None,
            endpoint=settings.artefacts_endpoint or None,
            region=settings.artefacts_region,
            access_key_id=settings.artefacts_access_key,
            secret_access_key=settings.artefacts_secret_key,
            virtual_hosted_style_request=not settings.artefacts_endpoint,
            client_options={
                "allow_http": settings.artefacts_endpoint.startswith("http://"),
                "connect_timeout": timedelta(seconds=CONNECT_SECONDS),
                "read_timeout": timedelta(seconds=STALL_SECONDS),
                "timeout": timedelta(seconds=WHOLE_SECONDS),
            },
            retry_config={
                "max_retries": RETRIES,
                "retry_timeout": timedelta(seconds=RETRY_SECONDS),
                "backoff": {
                    "init_backoff": timedelta(milliseconds=100),
                    "max_backoff": timedelta(seconds=2),
                    "base": 2,
                },
            },
        )

    def put(self, address: str, content: bytes) -> None:
        """Upload the file; S3 shows it when it is whole."""
        with self._unavailable():
            self._api.put(self._bucket, address, content)

    def get(self, address: str) -> bytes | None:
        """Download the file."""
        with self._unavailable():
            try:
                return bytes(self._api.get(self._bucket, address).bytes())
            except FileNotFoundError as error:
                self._refuse_bucket(error)
                return None

    def holds(self, address: str) -> bool:
        """Ask for the file's size."""
        with self._unavailable():
            try:
                self._api.head(self._bucket, address)
            except FileNotFoundError as error:
                self._refuse_bucket(error)
                return False
        return True

    def delete(self, address: str) -> None:
        """Remove the file."""
        with self._unavailable():
            try:
                self._api.delete(self._bucket, address)
            except FileNotFoundError as error:
                self._refuse_bucket(error)

    def delete_tenant(self, tenant_id: str) -> None:
        """Remove everything below the tenant's part of the bucket."""
        with self._unavailable():
            for found in self._api.list(self._bucket, tenant_id):
                self._api.delete(self._bucket, [entry["path"] for entry in found])

    def addresses(self, tenant_id: str) -> Iterator[str]:
        """Everything below the tenant's part of the bucket."""
        with self._unavailable():
            for found in self._api.list(self._bucket, tenant_id):
                yield from (entry["path"] for entry in found)

    def _refuse_bucket(self, error: FileNotFoundError) -> None:
        """Where the bucket itself is missing, nothing can be said of a file."""
        if NO_BUCKET in str(error):
            raise StoreUnavailable(self.name, "there is no such bucket") from error

    @contextmanager
    def _unavailable(self) -> Iterator[None]:
        try:
            yield
        except self._faults as error:
            # The first line alone: what follows is of no use to an operator.
            raise StoreUnavailable(self.name, str(error).partition("\n")[0][:300]) from error
