"""Both clients over TLS: records both ways, and each refusal in words."""

from __future__ import annotations

import datetime
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import trustme

from qd_fluvio import ClusterUnreachable, Fluvio, Limits, TlsFailed, connect
from qd_schemas.specs import ClientKind, FluvioSettings, TlsSettings
from support.layer import BOTH_CLIENTS, Broker, read, write

pytestmark = pytest.mark.parametrize("client_kind", BOTH_CLIENTS, ids=lambda kind: kind.value)
DOMAIN = "fluvio.test"
VALUES = [b"%d" % n * 100 for n in range(5000)]
LONG_AGO = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)


class Authority:
    """Signs certificates and writes them into a folder."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._folder = folder
        self._signer = trustme.CA()
        self.ca = self._path("ca.pem")
        self._signer.cert_pem.write_to_path(self.ca)

    def issue(
        self, label: str, *names: str, not_after: datetime.datetime | None = None
    ) -> tuple[str, str]:
        """Paths of a certificate and its key."""
        issued = self._signer.issue_cert(*names, not_after=not_after)
        cert, key = self._path(f"{label}.pem"), self._path(f"{label}.key")
        Path(cert).write_bytes(b"".join(part.bytes() for part in issued.cert_chain_pems))
        issued.private_key_pem.write_to_path(key)
        return cert, key

    def _path(self, name: str) -> str:
        return str(self._folder / name)


@dataclass(frozen=True)
class Place:
    """A cluster that asks for certificates, one that has an old one, and what to show them."""

    mutual: str
    expired: str
    ours: TlsSettings
    stranger: TlsSettings


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    if "QD_FLUVIO" in os.environ:
        pytest.skip("starts brokers with certificates of its own; QD_FLUVIO names another cluster")
    folder = tmp_path_factory.mktemp("tls")
    ours, others = Authority(folder / "ours"), Authority(folder / "others")
    cert, key = ours.issue("server", DOMAIN, f"*.{DOMAIN}")
    mutual = Broker(
        folder / "mutual", "--tls-cert", cert, "--tls-key", key, "--tls-client-ca", ours.ca
    )
    cert, key = ours.issue("old", DOMAIN, f"*.{DOMAIN}", not_after=LONG_AGO)
    expired = Broker(folder / "expired", "--tls-cert", cert, "--tls-key", key)
    yield Place(
        mutual.endpoint,
        expired.endpoint,
        TlsSettings(ours.ca, DOMAIN, *ours.issue("client", "client.test")),
        TlsSettings(ours.ca, DOMAIN, *others.issue("stranger", "client.test")),
    )
    mutual.close()
    expired.close()


async def refused(cluster: FluvioSettings, limits: Limits) -> None:
    async with connect(cluster, limits=limits):
        pass


async def use(fluvio: Fluvio, topic: str) -> None:
    """Everything that opens a connection of its own."""
    await write(fluvio, topic, VALUES)
    consumer = await fluvio.consumer(topic, consumer_id=topic)
    assert await read(consumer, len(VALUES)) == VALUES
    await consumer.commit()
    (found,) = await fluvio.committed_offsets(consumer_id=topic)
    assert found.offset == len(VALUES) - 1
    (info,) = await fluvio.partitions(topic)
    assert info.end_offset == len(VALUES)
    await write(fluvio, topic, [b"live"])
    assert (await anext(consumer)).value == b"live"


async def test_records_both_ways(place: Place, client_kind: ClientKind, topic: str) -> None:
    async with connect(FluvioSettings(place.mutual, client_kind, place.ours)) as fluvio:
        await use(fluvio, topic)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        pytest.param({"domain": "other.test"}, "is not for other.test", id="another name"),
        pytest.param({"cert": "", "key": ""}, "QD_FLUVIO_TLS_CERT", id="no certificate"),
        pytest.param({"ca": "no-such.pem"}, "QD_FLUVIO_TLS_CA names no-such.pem", id="no CA file"),
        pytest.param({"cert": "no-such.pem"}, "QD_FLUVIO_TLS_CERT names no-such", id="no file"),
        pytest.param({"key": "no-such.key"}, "QD_FLUVIO_TLS_KEY names no-such", id="no key file"),
        pytest.param({"ca": __file__}, "holds no PEM certificates", id="no CA in the file"),
        pytest.param({"cert": __file__}, "no pair of a PEM certificate", id="no certificate in it"),
        pytest.param({"key": __file__}, "no pair of a PEM certificate", id="no key in it"),
    ],
)
async def test_settings_that_are_wrong(
    place: Place, client_kind: ClientKind, impatient: Limits, change: dict[str, str], words: str
) -> None:
    tls = replace(place.ours, **change)
    with pytest.raises(TlsFailed, match=words):
        await refused(FluvioSettings(place.mutual, client_kind, tls), impatient)


async def test_a_cluster_that_another_authority_signed(
    place: Place, client_kind: ClientKind, impatient: Limits, tmp_path: Path
) -> None:
    tls = replace(place.ours, ca=Authority(tmp_path / "another").ca)
    with pytest.raises(TlsFailed, match="is not signed by those in QD_FLUVIO_TLS_CA"):
        await refused(FluvioSettings(place.mutual, client_kind, tls), impatient)


async def test_a_client_that_the_cluster_does_not_know(
    place: Place, client_kind: ClientKind, impatient: Limits
) -> None:
    with pytest.raises(TlsFailed, match="does not accept this client"):
        await refused(FluvioSettings(place.mutual, client_kind, place.stranger), impatient)


async def test_a_certificate_that_has_expired(
    place: Place, client_kind: ClientKind, impatient: Limits
) -> None:
    with pytest.raises(TlsFailed, match="has expired"):
        await refused(FluvioSettings(place.expired, client_kind, place.ours), impatient)


async def test_a_cluster_without_tls(
    place: Place, client_kind: ClientKind, fluvio_endpoint: str, impatient: Limits
) -> None:
    with pytest.raises(TlsFailed, match="check that this port speaks TLS") as caught:
        await refused(FluvioSettings(fluvio_endpoint, client_kind, place.ours), impatient)
    assert caught.value.retriable, "one that is being stopped closes in the same way"


async def test_a_cluster_that_expects_tls(
    place: Place, client_kind: ClientKind, impatient: Limits
) -> None:
    with pytest.raises((TlsFailed, ClusterUnreachable), match="QD_FLUVIO_TLS_CA"):
        await refused(FluvioSettings(place.mutual, client_kind), impatient)


async def test_nobody_listens(
    place: Place, client_kind: ClientKind, dead_endpoint: str, impatient: Limits
) -> None:
    with pytest.raises(ClusterUnreachable, match=dead_endpoint):
        await refused(FluvioSettings(dead_endpoint, client_kind, place.ours), impatient)
