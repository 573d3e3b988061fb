"""The native client over TLS: megabytes both ways, and the typed error of a refused link."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import trustme

from qd_fluvio import TlsFailed, connect
from qd_fluvio.native.link import open_link
from qd_fluvio.servers import Address, Servers
from qd_schemas.specs import ClientKind, FluvioSettings, TlsSettings
from support.layer import read, write
from support.processes import running

SPU = "custom-spu-5001"
FRAME_BYTES_MAX = 1 << 20


@dataclass(frozen=True)
class Secured:
    """A broker that wants certificates, and those that it accepts."""

    cluster: FluvioSettings
    spu: Address


def issue(folder: Path, authority: trustme.CA, *names: str) -> tuple[str, str]:
    """A certificate and its key."""
    issued = authority.issue_cert(*names)
    cert, key = folder / f"{names[0]}.pem", folder / f"{names[0]}.key"
    cert.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    issued.private_key_pem.write_to_path(str(key))
    return str(cert), str(key)


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    folder = tmp_path_factory.mktemp("secured")
    authority = trustme.CA()
    ca = str(folder / "ca.pem")
    authority.cert_pem.write_to_path(ca)
    cert, key = issue(folder, authority, "localhost", f"{SPU}.localhost")
    arguments = ("--tls-cert", cert, "--tls-key", key, "--tls-client-ca", ca)
    data = ("--data", str(folder / "data"))
    with running("qd_fluvio.broker", *data, *arguments, folder=folder) as ready:
        own = TlsSettings(ca, "localhost", *issue(folder, authority, "client"))
        cluster = FluvioSettings(str(ready["endpoint"]), ClientKind.NATIVE, own)
        yield Secured(cluster, Address(str(ready["spu"]), SPU))


async def test_megabytes_both_ways(secured: Secured, topic: str) -> None:
    source = random.Random(3)
    values = [source.randbytes(source.randrange(60_000)) for _ in range(600)]
    async with connect(secured.cluster) as fluvio:
        producer = await write(fluvio, topic, values)
        consumer = await fluvio.consumer(topic)
        assert await read(consumer, len(values)) == values
        await producer.send(b"one more")
        assert (await anext(consumer)).value == b"one more"
        await producer.flush()


async def test_a_client_without_a_certificate_of_its_own(secured: Secured) -> None:
    assert secured.cluster.tls is not None
    bare = replace(secured.cluster, tls=replace(secured.cluster.tls, cert="", key=""))
    with pytest.raises(TlsFailed, match="QD_FLUVIO_TLS_CERT"):
        async with connect(bare):
            pass


async def test_a_link_to_another_name(secured: Secured) -> None:
    with pytest.raises(TlsFailed, match=r"is not for another\.localhost"):
        await open_link(
            Servers(secured.cluster), replace(secured.spu, spu="another"), FRAME_BYTES_MAX
        )


async def test_a_link_to_a_server_without_tls(secured: Secured, fluvio_endpoint: str) -> None:
    with pytest.raises(TlsFailed, match="speaks TLS"):
        await open_link(Servers(secured.cluster), Address(fluvio_endpoint, SPU), FRAME_BYTES_MAX)
