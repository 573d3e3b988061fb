"""TLS at the broker's ports: the official client, raw clients, and files that are not right."""

from __future__ import annotations

import contextlib
import os
import ssl
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import trustme

from qd_fluvio.broker.settings import TlsFiles
from qd_fluvio.broker.tls import server_context
from qd_schemas.errors import SettingError
from support.broker import connected
from support.connections import Echo, frame, serving, until
from support.official import run_script
from support.processes import Process

SCRIPT = Path(__file__).with_name("official_tls.py")
SPU_NAME = "custom-spu-5001"  # the client asks an SPU for a certificate of this name, too


@dataclass(frozen=True)
class Issued:
    """One party's files: who signs it, its certificate and its key."""

    authority: Path
    cert: Path
    key: Path


def issue(folder: Path, authority: trustme.CA, *names: str) -> Issued:
    folder.mkdir()
    issued = authority.issue_cert(*names)
    files = Issued(folder / "ca.pem", folder / "cert.pem", folder / "key.pem")
    authority.cert_pem.write_to_path(str(files.authority))
    files.cert.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    issued.private_key_pem.write_to_path(str(files.key))
    return files


@dataclass(frozen=True)
class Parties:
    server: Issued
    client: Issued
    stranger: Issued


@pytest.fixture(scope="module")
def parties(tmp_path_factory: pytest.TempPathFactory) -> Parties:
    folder = tmp_path_factory.mktemp("certificates")
    authority, another = trustme.CA(), trustme.CA()
    return Parties(
        issue(folder / "server", authority, "localhost", f"{SPU_NAME}.localhost"),
        issue(folder / "client", authority, "client"),
        issue(folder / "stranger", another, "localhost"),
    )


@dataclass(frozen=True)
class Secured:
    """A broker process that speaks TLS."""

    sc: str
    spu: str
    process: Process


@pytest.fixture(scope="module", params=["server", "mutual"])
def secured(
    request: pytest.FixtureRequest, parties: Parties, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Secured]:
    folder = tmp_path_factory.mktemp("secured")
    arguments = ["--tls-cert", str(parties.server.cert), "--tls-key", str(parties.server.key)]
    if request.param == "mutual":
        arguments += ["--tls-client-ca", str(parties.client.authority)]
    process = Process("qd_fluvio.broker", "--data", str(folder / "data"), *arguments, folder=folder)
    try:
        ready = process.wait_ready()
        yield Secured(ready["endpoint"], ready["spu"], process)
    finally:
        process.stop()


def play(mode: str, endpoint: str, domain: str, trusted: Issued, shown: Issued) -> Any:
    files = (trusted.authority, shown.cert, shown.key)
    return run_script(SCRIPT, mode, endpoint, domain, *map(str, files))


@pytest.mark.parametrize("mode", ["files", "inline"])
def test_the_official_client_is_served(secured: Secured, parties: Parties, mode: str) -> None:
    assert play(mode, secured.sc, "localhost", parties.server, parties.client) is True


REFUSALS = {
    "a CA that signed nothing here": (
        ("files", "localhost", "stranger", "client"),
        "certificate verify failed",
        "does not trust this broker's certificate",
    ),
    "another domain": (
        ("files", "elsewhere", "server", "client"),
        "hostname mismatch",
        "does not trust this broker's certificate",
    ),
    "no TLS": (
        ("plain", "localhost", "server", "client"),
        "server has terminated connection",
        "the client speaks no TLS",
    ),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_the_official_client_is_refused(secured: Secured, parties: Parties, name: str) -> None:
    (mode, domain, trusted, shown), told, logged = REFUSALS[name]
    before = secured.process.log().count(logged)
    found = play(mode, secured.sc, domain, getattr(parties, trusted), getattr(parties, shown))
    assert told in found
    secured.process.wait_logged(logged, before + 1)
    assert "Traceback" not in secured.process.log()


def trusting(parties: Parties, shown: Issued | None = None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(parties.server.authority))
    if shown is not None:
        context.load_cert_chain(shown.cert, shown.key)
    return context


@pytest.mark.parametrize(
    ("shown", "words"),
    [
        (None, "the client showed no certificate"),
        ("stranger", "the client's certificate is not trusted"),
    ],
)
async def test_a_client_without_the_right_certificate_is_told(
    parties: Parties, shown: str | None, words: str, caplog: pytest.LogCaptureFixture
) -> None:
    server, client = parties.server, parties.client
    tls = server_context(TlsFiles(server.cert, server.key, client.authority))
    context = trusting(parties, getattr(parties, shown) if shown else None)
    async with serving(Echo, tls=tls) as connect:
        with contextlib.suppress(ssl.SSLError, ConnectionError):
            # TLS 1.3 lets the client think that it was accepted, until it reads.
            assert await (await connect(context)).closed() == b""
        await until(lambda: words in caplog.text)
        welcome = await connect(trusting(parties, client))
        welcome.writer.write(frame(b"hello"))
        assert await welcome.reader.readexactly(9) == frame(b"hello")
        assert connect.hub.members == 1


async def test_renewed_files_count_from_the_next_connection_on(tmp_path: Path) -> None:
    own = issue(tmp_path / "own", trustme.CA(), "localhost")
    tls = server_context(TlsFiles(own.cert, own.key))
    async with serving(Echo, tls=tls) as connect:
        early = await connect(ssl.create_default_context(cafile=own.authority))
        new = issue(tmp_path / "new", trustme.CA(), "localhost")
        new.key.replace(own.key)
        new.cert.replace(own.cert)
        late = await connect(ssl.create_default_context(cafile=new.authority))
        for client in (early, late):
            client.writer.write(frame(b"hello"))
            assert await client.reader.readexactly(9) == frame(b"hello")


@pytest.mark.parametrize("size", [0, 1, 1_000, 65_536, 3_000_000, 20_000_000])
async def test_frames_of_any_size_pass(parties: Parties, size: int) -> None:
    """Also those whose last bytes the kernel has no more, because TLS has them."""
    tls = server_context(TlsFiles(parties.server.cert, parties.server.key))
    async with serving(Echo, tls=tls) as connect:
        client = await connect(trusting(parties))
        payload = bytes(index % 251 for index in range(1_000)) * (size // 1_000 + 1)
        message = frame(payload[:size])
        for _ in range(3):
            client.writer.write(message)
            assert await client.reader.readexactly(len(message)) == message


async def test_who_does_not_agree_on_tls_in_time_goes(
    parties: Parties, caplog: pytest.LogCaptureFixture
) -> None:
    tls = server_context(TlsFiles(parties.server.cert, parties.server.key))
    async with serving(Echo, tls=tls) as connect:
        silent, half = await connect(), await connect()
        half.writer.write(b"\x16\x03\x01\x02\x00\x01")  # a greeting's first bytes
        await until(lambda: connect.hub.members == 2)
        connect.hub.sweep(11)
        for client in (silent, half):
            with contextlib.suppress(ConnectionError):
                assert await client.closed() == b""
        assert connect.hub.members == 0
        served = await connect(trusting(parties))
        served.writer.write(frame(b"hello"))
        assert await served.reader.readexactly(9) == frame(b"hello")
    assert caplog.text.count("found no request within 10 s") == 2


@pytest.mark.parametrize(
    "greeting", [b"GET / HTTP/1.1\r\n\r\n", os.urandom(500), struct.pack(">i", 2**31 - 1) * 9]
)
async def test_bytes_that_are_no_tls(
    parties: Parties, greeting: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    tls = server_context(TlsFiles(parties.server.cert, parties.server.key))
    async with serving(Echo, tls=tls) as connect:
        client = await connect()
        client.writer.write(greeting)
        with contextlib.suppress(ConnectionError):
            await client.closed()
        await until(lambda: "no TLS: " in caplog.text)
        assert connect.hub.members == 0


async def test_a_client_that_leaves_while_agreeing(parties: Parties) -> None:
    tls = server_context(TlsFiles(parties.server.cert, parties.server.key))
    async with serving(Echo, tls=tls) as connect:
        for _ in range(5):
            client = await connect()
            client.writer.write(b"\x16\x03\x01")
            client.writer.transport.abort()
        await until(lambda: connect.hub.members == 0)


async def test_the_spu_is_shown_with_its_encryption(parties: Parties, tmp_path: Path) -> None:
    """What the official client reads in the SPU's metadata."""
    process = Process(
        "qd_fluvio.broker",
        *("--data", str(tmp_path / "data")),
        *("--tls-cert", str(parties.server.cert), "--tls-key", str(parties.server.key)),
        folder=tmp_path,
    )
    try:
        ready = process.wait_ready()
        async with connected(ready["endpoint"], trusting(parties)) as sc:
            (unit,) = (await sc.objects("SPU")).objects
            assert f"127.0.0.1:{unit.spec.public.port}" == ready["spu"]
            assert (unit.spec.public.encryption, unit.spec.private.encryption) == (1, 1)
    finally:
        process.stop()


def files(parties: Parties, tmp_path: Path) -> dict[str, tuple[TlsFiles, str]]:
    server, stranger = parties.server, parties.stranger
    junk = tmp_path / "junk.pem"
    junk.write_text("hello")
    encrypted = tmp_path / "encrypted.pem"
    encrypted.write_text(
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\n"
        + server.key.read_text().split("\n", 1)[1].rsplit("-----END", 1)[0]
        + "-----END ENCRYPTED PRIVATE KEY-----\n"
    )
    missing = tmp_path / "missing.pem"
    return {
        "no certificate": (
            TlsFiles(missing, server.key),
            f"--tls-cert names {missing}, which cannot be read",
        ),
        "no key": (
            TlsFiles(server.cert, missing),
            f"--tls-key names {missing}, which cannot be read",
        ),
        "no CA": (
            TlsFiles(server.cert, server.key, missing),
            f"--tls-client-ca names {missing}, which cannot be read",
        ),
        "junk certificate": (TlsFiles(junk, server.key), "are no pair"),
        "another's key": (TlsFiles(server.cert, stranger.key), "are no pair"),
        "encrypted key": (
            TlsFiles(server.cert, encrypted),
            f"--tls-key names {encrypted}",
        ),
        "junk CA": (
            TlsFiles(server.cert, server.key, junk),
            f"--tls-client-ca names {junk}, which holds no PEM certificates",
        ),
    }


@pytest.mark.parametrize(
    "name",
    [
        *("no certificate", "no key", "no CA", "junk certificate", "another's key"),
        *("encrypted key", "junk CA"),
    ],
)
def test_files_that_are_not_right_are_named(parties: Parties, tmp_path: Path, name: str) -> None:
    found, words = files(parties, tmp_path)[name]
    with pytest.raises(SettingError) as error:
        server_context(found)
    assert words in str(error.value)


@pytest.mark.parametrize(
    ("arguments", "words", "code"),
    [
        (("--tls-cert", "x.pem"), "found TLS settings without --tls-key", 2),
        (("--tls-key", "x.pem"), "found TLS settings without --tls-cert", 2),
        (("--tls-client-ca", "x.pem"), "found TLS settings without --tls-cert", 2),
        (
            ("--tls-cert", "x.pem", "--tls-key", "x.pem"),
            "--tls-cert names x.pem, which cannot be read",
            1,
        ),
    ],
)
def test_a_broker_with_wrong_files_says_so_and_ends(
    tmp_path: Path, arguments: tuple[str, ...], words: str, code: int
) -> None:
    process = Process(
        "qd_fluvio.broker", "--data", str(tmp_path / "data"), *arguments, folder=tmp_path
    )
    assert process.popen.wait(60) == code
    assert words in process.log()
    assert "Traceback" not in process.log()
