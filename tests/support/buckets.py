"""A storage of buckets on this machine."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest
from moto import settings
from moto.core.authorization import ActionAuthenticatorMixin
from moto.server import ThreadedMotoServer
from pyarrow.fs import S3FileSystem

BUCKET = "trades"


@dataclass(frozen=True, slots=True)
class Storage:
    """A storage with one bucket, `BUCKET`.

    Attributes
    ----------
    address : tuple of (str, int)
        Where it listens.
    """

    address: tuple[str, int]
    _system: S3FileSystem

    def put(self, key: str, data: bytes) -> None:
        with self._system.open_output_stream(f"{BUCKET}/{key}", compression=None) as file:
            file.write(data)

    def uri(self, key: str, port: int | None = None, bucket: str = BUCKET) -> str:
        """An object's URI; by another port where one stands before the storage's."""
        host, own = self.address
        return f"s3://{bucket}/{key}?endpoint_override={host}:{port or own}&scheme=http"

    @contextmanager
    def closed(self) -> Iterator[None]:
        """Let nobody in: the storage knows no user."""
        before = settings.INITIAL_NO_AUTH_ACTION_COUNT
        settings.INITIAL_NO_AUTH_ACTION_COUNT = 0
        ActionAuthenticatorMixin.request_count = 0
        try:
            yield
        finally:
            settings.INITIAL_NO_AUTH_ACTION_COUNT = before


@contextmanager
def storage() -> Iterator[Storage]:
    """Run one; the environment's credentials are of it meanwhile."""
    logging.getLogger("werkzeug").setLevel(logging.CRITICAL)
    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    with pytest.MonkeyPatch.context() as environment:
        for name, value in {
            "AWS_ACCESS_KEY_ID": "tester",
            "AWS_SECRET_ACCESS_KEY": "no secret",
            "AWS_REGION": "eu-central-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }.items():
            environment.setenv(name, value)
        try:
            host, port = server.get_host_and_port()
            system = S3FileSystem(
                endpoint_override=f"{host}:{port}", scheme="http", allow_bucket_creation=True
            )
            system.create_dir(BUCKET)
            yield Storage((host, port), system)
        finally:
            server.stop()
