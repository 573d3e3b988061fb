"""Contexts that follow their files: what a handshake shows and trusts once they were renewed."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
import trustme

from qd_schemas.errors import SettingError
from qd_schemas.pem import PemFile, load_own, load_trusted
from qd_schemas.renewed import RenewedContext, renewed_server

NAME = "qd.test"


class Party:
    """A party's files as a Secret's volume has them: all are replaced at once."""

    def __init__(self, folder: Path, authority: trustme.CA) -> None:
        self._folder = folder
        self.cert, self.key, self.ca = (folder / "now" / name for name in ("crt", "key", "ca"))
        self.renew(authority)

    def renew(self, authority: trustme.CA, trusted: trustme.CA | None = None) -> None:
        issued = authority.issue_cert(NAME)
        made = self._folder / f"of {id(issued)}"
        made.mkdir(parents=True)
        issued.cert_chain_pems[0].write_to_path(made / "crt")
        issued.private_key_pem.write_to_path(made / "key")
        (trusted or authority).cert_pem.write_to_path(made / "ca")
        (self._folder / "next").symlink_to(made)
        (self._folder / "next").replace(self._folder / "now")

    def server(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        load_own(context, PemFile("CERT", self.cert), PemFile("KEY", self.key))
        load_trusted(context, PemFile("CA", self.ca), "clients'")
        context.verify_mode = ssl.CERT_REQUIRED
        return context

    def client(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        load_own(context, PemFile("CERT", self.cert), PemFile("KEY", self.key))
        load_trusted(context, PemFile("CA", self.ca), "the server's")
        return context

    @property
    def files(self) -> tuple[Path, ...]:
        return self.cert, self.key, self.ca


def shown(server: ssl.SSLContext, client: ssl.SSLContext) -> bytes:
    """The certificate that a client sees, once both sides accepted each other's."""
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    accepting = server.wrap_bio(up, down, server_side=True)
    connecting = client.wrap_bio(down, up, server_hostname=NAME)
    left = [connecting, accepting]
    while left:
        for side in tuple(left):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
            left.remove(side)
    found = connecting.getpeercert(binary_form=True)
    assert found is not None
    return found


def der(party: Party) -> bytes:
    return ssl.PEM_cert_to_DER_cert(party.cert.read_text())


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def server(tmp_path: Path, authority: trustme.CA) -> Party:
    return Party(tmp_path / "server", authority)


@pytest.fixture
def client(tmp_path: Path, authority: trustme.CA) -> Party:
    return Party(tmp_path / "client", authority)


def test_a_server_shows_its_renewed_certificate(
    server: Party, client: Party, authority: trustme.CA
) -> None:
    context = renewed_server(server.server, server.files)
    first = der(server)
    assert shown(context, client.client()) == first
    server.renew(authority)
    assert shown(context, client.client()) == der(server) != first


def test_both_sides_take_a_new_authority(
    server: Party, client: Party, authority: trustme.CA
) -> None:
    accepting = renewed_server(server.server, server.files)
    connecting = RenewedContext(client.client, client.files)
    assert shown(accepting, connecting.now()) == der(server)
    another = trustme.CA()
    server.renew(another)
    with pytest.raises(ssl.SSLCertVerificationError):
        shown(accepting, connecting.now())
    client.renew(authority, trusted=another)
    with pytest.raises(ssl.SSLCertVerificationError, match="unable to get local issuer"):
        shown(accepting, connecting.now())  # the server, of the client's
    client.renew(another)
    assert shown(accepting, connecting.now()) == der(server)


def test_files_that_are_no_pair_change_nothing_until_they_are(
    server: Party, client: Party, authority: trustme.CA, caplog: pytest.LogCaptureFixture
) -> None:
    context = renewed_server(server.server, server.files)
    first = der(server)
    kept = server.key.read_bytes()
    server.key.unlink()
    for _ in range(3):
        assert shown(context, client.client()) == first
    assert caplog.text.count("going on with the certificates loaded before: KEY names") == 1
    server.key.write_bytes(kept)
    server.renew(authority)
    assert shown(context, client.client()) == der(server) != first


def test_files_that_cannot_be_used_at_first_are_refused(server: Party) -> None:
    server.cert.write_text("nothing")
    with pytest.raises(SettingError, match="CERT names"):
        renewed_server(server.server, server.files)
