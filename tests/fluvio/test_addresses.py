"""Clusters whose addresses are not those at which they are reached: tunnels, and pods inside."""

from __future__ import annotations

from pathlib import Path

import pytest
import trustme

from qd_fluvio import ConnectionLost, connect
from qd_fluvio.control import ControlPlane, address_of
from qd_fluvio.wire.metadata import (
    Ingress,
    IngressAddress,
    SpuEndpoint,
    SpuMetadata,
    SpuSpec,
    SpuStatus,
)
from qd_schemas.errors import SettingError
from qd_schemas.specs import ClientKind, FluvioSettings, SpuAddress, TlsSettings
from support.layer import read, write
from support.processes import running

HOST = "broker.nowhere.example"
SPU = "custom-spu-5001"
LOCAL = SpuEndpoint(9005, "spu-0.inside")


async def test_through_a_tunnel_with_certificates_for_the_names_told(tmp_path: Path) -> None:
    authority = trustme.CA()
    issued = authority.issue_cert(HOST, f"{SPU}.{HOST}")
    ca, cert, key = (str(tmp_path / name) for name in ("ca.pem", "cert.pem", "key.pem"))
    authority.cert_pem.write_to_path(ca)
    issued.cert_chain_pems[0].write_to_path(cert)
    issued.private_key_pem.write_to_path(key)
    arguments = ("--data", str(tmp_path / "data"), "--tls-cert", cert, "--tls-key", key)
    with running("qd_fluvio.broker", *arguments, "--advertise", HOST, folder=tmp_path) as ready:
        told = [str(ready[name]) for name in ("endpoint", "spu")]
        assert all(address.startswith(HOST) for address in told)
        taken = tuple((address, address.replace(HOST, "127.0.0.1")) for address in told)
        cluster = FluvioSettings(told[0], ClientKind.NATIVE, TlsSettings(ca), addresses=taken)
        async with connect(cluster) as fluvio:
            await fluvio.create_topic("tunnel")
            producer = await write(fluvio, "tunnel", [b"one", b"two"])
            await producer.flush()
            assert await read(await fluvio.consumer("tunnel"), 2) == [b"one", b"two"]
            assert await fluvio.end_offset("tunnel") == 2
        spus = await ControlPlane(cluster).spus()
        assert [(spu.host_port, spu.spu) for spu in spus] == [(told[1], SPU)]


async def test_the_official_client_knows_no_tunnels() -> None:
    cluster = FluvioSettings("sc:9003", addresses=(("sc:9003", "127.0.0.1:1"),))
    with pytest.raises(SettingError, match="QD_FLUVIO_CLIENT=native"):
        async with connect(cluster):
            raise AssertionError


@pytest.mark.parametrize(
    ("addresses", "local", "inside", "expected"),
    [
        (("out.example",), LOCAL, False, "out.example:9010"),
        (("out.example",), LOCAL, True, "spu-0.inside:9005"),
        (("out.example",), None, True, "out.example:9010"),
        ((), LOCAL, True, "spu-0.inside:9005"),
        ((), LOCAL, False, None),
        ((), None, True, None),
    ],
)
def test_which_address_of_an_spu_is_used(
    addresses: tuple[str, ...], local: SpuEndpoint | None, inside: bool, expected: str | None
) -> None:
    ingress = Ingress(9010, tuple(IngressAddress(hostname=name) for name in addresses))
    spec = SpuSpec(5001, 1, ingress, SpuEndpoint(9011, "private"), None, local)
    spu = SpuMetadata("main-0", spec, SpuStatus())
    if expected is None:
        with pytest.raises(ConnectionLost, match="no leader"):
            address_of(spu, inside=inside)
    else:
        assert address_of(spu, inside=inside).host_port == expected


def test_settings() -> None:
    env = {
        "QD_FLUVIO": "qd-broker:9003",
        "QD_FLUVIO_SPU_ADDRESS": "local",
        "QD_FLUVIO_ADDRESSES": "qd-broker:9003=127.0.0.1:1, qd-broker:9010=[::1]:2,",
    }
    found = FluvioSettings.from_env(env)
    assert found.spu_address is SpuAddress.LOCAL
    assert found.reached("qd-broker:9003") == "127.0.0.1:1"
    assert found.reached("qd-broker:9010") == "[::1]:2"
    assert found.reached("other:9010") == "other:9010"
    for wrong in ("qd-broker:9003", "a:1=b", ",", "a:1=b:1,a:1=c:1", "a:0=b:1"):
        with pytest.raises(SettingError, match="QD_FLUVIO_ADDRESSES is"):
            FluvioSettings.from_env({**env, "QD_FLUVIO_ADDRESSES": wrong})
