"""PEM files that are not what they should be are named, with the setting that names them."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives import serialization

from qd_schemas.errors import SettingError
from qd_schemas.pem import PemFile, load_own, load_trusted


@pytest.fixture
def pair(tmp_path: Path) -> tuple[PemFile, PemFile]:
    issued = trustme.CA().issue_cert("qd.test")
    issued.cert_chain_pems[0].write_to_path(tmp_path / "cert")
    issued.private_key_pem.write_to_path(tmp_path / "key")
    return PemFile("THE_CERT", tmp_path / "cert"), PemFile("THE_KEY", tmp_path / "key")


def test_a_pair_is_shown_and_trusted(pair: tuple[PemFile, PemFile]) -> None:
    load_own(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), *pair)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    load_trusted(context, pair[0], "the server's")
    assert context.cert_store_stats()["x509"] == 1


def test_a_key_with_a_password(pair: tuple[PemFile, PemFile]) -> None:
    key = serialization.load_pem_private_key(Path(pair[1].path).read_bytes(), None)
    locked = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.BestAvailableEncryption(b"secret"),
    )
    Path(pair[1].path).write_bytes(locked)
    with pytest.raises(SettingError, match=r"THE_KEY names .*/key, which is encrypted"):
        load_own(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), *pair)


def test_no_pair(pair: tuple[PemFile, PemFile]) -> None:
    with pytest.raises(SettingError, match=r"THE_KEY names .* are no pair"):
        load_own(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), pair[0], PemFile("THE_KEY", __file__))


def test_no_certificate_to_trust() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    with pytest.raises(SettingError, match=r"THE_CA names .*expected those that sign symdb's"):
        load_trusted(context, PemFile("THE_CA", __file__), "symdb's")


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"THE_CA names .*/none, which cannot be read \(No such"):
        PemFile("THE_CA", tmp_path / "none")
