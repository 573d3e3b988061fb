"""TLS at the symbol master: who is trusted, who is not, and what each is told."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme

from qd_client import SymdbClient
from qd_client.errors import SymdbTlsFailed, SymdbUnavailable
from qd_schemas.specs import SYMDB_TLS_NAMES, SymdbSettings, TlsSettings
from support.processes import Process, running

NAME = "symdb.test"


class Files:
    """Certificates of one authority, and of another that nobody trusts."""

    def __init__(self, folder: Path) -> None:
        authority, other = trustme.CA(), trustme.CA()
        self.folder, self.authority, self.other = folder, authority, other
        self.ca = self._written(folder / "ca.pem", [authority.cert_pem])
        self.other_ca = self._written(folder / "other-ca.pem", [other.cert_pem])
        self.cert, self.key = self._issued(folder / "server", authority, NAME)
        self.client_cert, self.client_key = self._issued(folder / "client", authority, "someone")
        self.stranger_cert, self.stranger_key = self._issued(folder / "other", other, "someone")

    def renew_server(self, authority: trustme.CA) -> None:
        """Write another certificate and key to the service's own files."""
        self._issued(self.folder / "server", authority, NAME)

    def _issued(self, path: Path, authority: trustme.CA, name: str) -> tuple[str, str]:
        issued = authority.issue_cert(name)
        cert = self._written(path.with_suffix(".pem"), issued.cert_chain_pems)
        return cert, self._written(path.with_suffix(".key"), [issued.private_key_pem])

    @staticmethod
    def _written(path: Path, pems: list[trustme.Blob]) -> str:
        path.write_bytes(b"".join(pem.bytes() for pem in pems))
        return str(path)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return Files(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module", params=["any client", "known clients"])
def secured(
    request: Any, files: Files, migrated: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, bool]]:
    """A service's endpoint, and whether it asks clients for certificates."""
    env = {
        "QD_SYMDB": "127.0.0.1:0",
        "QD_DATABASE": migrated,
        "QD_SYMDB_TLS_CERT": files.cert,
        "QD_SYMDB_TLS_KEY": files.key,
    }
    strict = request.param == "known clients"
    if strict:
        env["QD_SYMDB_TLS_CLIENT_CA"] = files.ca
    with running("qd_symdb", folder=tmp_path_factory.mktemp("symdb"), env=env) as ready:
        yield str(ready["endpoint"]), strict


async def ask(endpoint: str, *tls: str) -> str:
    where = SymdbSettings.from_env({"QD_SYMDB": endpoint})
    settings = TlsSettings.from_env(dict(zip(SYMDB_TLS_NAMES, tls, strict=False)), SYMDB_TLS_NAMES)
    async with SymdbClient(where.host, where.port, tls=settings) as client:
        return await client.exchange_name()


async def test_with_a_certificate(secured: tuple[str, bool], files: Files) -> None:
    own = (files.client_cert, files.client_key)
    assert await ask(secured[0], files.ca, NAME, *own) == "kraken"


async def test_without_a_certificate(secured: tuple[str, bool], files: Files) -> None:
    endpoint, strict = secured
    if not strict:
        assert await ask(endpoint, files.ca, NAME) == "kraken"
        return
    with pytest.raises((SymdbTlsFailed, SymdbUnavailable), match="symdb at"):
        await ask(endpoint, files.ca, NAME)


async def test_with_a_stranger_certificate(secured: tuple[str, bool], files: Files) -> None:
    endpoint, strict = secured
    own = (files.stranger_cert, files.stranger_key)
    if not strict:
        assert await ask(endpoint, files.ca, NAME, *own) == "kraken"
        return
    with pytest.raises((SymdbTlsFailed, SymdbUnavailable), match="symdb at"):
        await ask(endpoint, files.ca, NAME, *own)


async def test_another_authority(secured: tuple[str, bool], files: Files) -> None:
    with pytest.raises(SymdbTlsFailed, match=r"is not trusted .*QD_SYMDB_TLS_CA names") as caught:
        await ask(secured[0], files.other_ca, NAME)
    assert not caught.value.retriable


async def test_renewed_files_count_from_the_next_connection_on(
    secured: tuple[str, bool], files: Files
) -> None:
    own = (files.client_cert, files.client_key)
    files.renew_server(files.other)
    try:
        assert await ask(secured[0], files.other_ca, NAME, *own) == "kraken"
    finally:
        files.renew_server(files.authority)
    assert await ask(secured[0], files.ca, NAME, *own) == "kraken"


async def test_another_name(secured: tuple[str, bool], files: Files) -> None:
    with pytest.raises(SymdbTlsFailed, match="is not for elsewhere; set QD_SYMDB_TLS_DOMAIN"):
        await ask(secured[0], files.ca, "elsewhere")


async def test_a_client_without_tls(secured: tuple[str, bool]) -> None:
    with pytest.raises(SymdbUnavailable):
        await ask(secured[0])


async def test_a_service_without_tls(endpoint: str, files: Files) -> None:
    with pytest.raises((SymdbTlsFailed, SymdbUnavailable), match="symdb at"):
        await ask(endpoint, files.ca, NAME)


@pytest.mark.parametrize(
    ("cert", "key", "client_ca", "text"),
    [
        ("cert", "", "", "QD_SYMDB_TLS_KEY is not set"),
        ("", "", "ca", "QD_SYMDB_TLS_CERT is not set"),
        ("none", "key", "", "QD_SYMDB_TLS_CERT names none, which cannot be read"),
        ("cert", "client_key", "", "are no pair of a PEM certificate and its key"),
        ("cert", "key", "key", "which holds no PEM certificates"),
    ],
)
def test_settings_of_the_service(
    files: Files, tmp_path: Path, cert: str, key: str, client_ca: str, text: str
) -> None:
    env = {
        "QD_SYMDB": "127.0.0.1:0",
        "QD_DATABASE": "postgresql://h/d",
        "QD_SYMDB_TLS_CERT": getattr(files, cert, cert),
        "QD_SYMDB_TLS_KEY": getattr(files, key, key),
        "QD_SYMDB_TLS_CLIENT_CA": getattr(files, client_ca, client_ca),
    }
    process = Process("qd_symdb", folder=tmp_path, env=env)
    assert process.popen.wait(60) == 1
    assert text in process.log()
    assert "Traceback" not in process.log()


@pytest.mark.parametrize(
    ("tls", "text"),
    [
        (TlsSettings("none"), "QD_SYMDB_TLS_CA names none, which cannot be read"),
        (TlsSettings("ca", cert="cert", key="client_key"), "are no pair of a PEM certificate"),
        (TlsSettings("key"), "which holds no PEM certificates"),
    ],
)
async def test_settings_of_the_client(files: Files, tls: TlsSettings, text: str) -> None:
    found = TlsSettings(
        *(getattr(files, value, value) for value in (tls.ca, tls.domain, tls.cert, tls.key))
    )
    with pytest.raises(SymdbTlsFailed, match=text):
        async with SymdbClient("127.0.0.1", 1, tls=found):
            pass
