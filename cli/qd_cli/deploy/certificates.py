"""Certificates of a deployment's own: a CA, one for each server, one for clients. Pure.

They are made for the names of the Services. A certificate is renewed when it ends within
`RENEW_DAYS`, when its names or its CA changed, or when it cannot be read. The CA's key is in a
Secret of its own, which no pod mounts.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from qd_cli.deploy.kubectl import Json
from qd_cli.deploy.names import BROKER, DATABASE, SYMDB
from qd_cli.deploy.plan import kind_of, name_of
from qd_cli.deploy.secrets import NewSecret, secret_object
from qd_fluvio.broker.settings import SPU_NAME

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

CA: Final = "qd-tls-ca"
CLIENT: Final = "qd-tls-client"
SERVERS: Final[Mapping[str, str]] = {
    "qd-tls-symdb": SYMDB,
    "qd-tls-database": DATABASE,
    "qd-tls-broker": BROKER,
}
"""The Secrets of the servers' certificates, and the Service of each."""
CA_DAYS: Final = 3650
DAYS: Final = 365
RENEW_DAYS: Final = 30
_BACKDATED: Final = timedelta(minutes=5)  # for clocks that are a little behind
_TYPE: Final = "kubernetes.io/tls"
_CLUSTER_DOMAIN: Final = "svc.cluster.local"


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and its key, in PEM."""

    certificate: str
    key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Renewal:
    """What becomes of the certificates.

    Attributes
    ----------
    secrets : list of NewSecret
        To be made, or put in the place of what is there.
    marks : mapping of str to str
        What tells each Secret's certificate from another, by the Secret's name.
    """

    secrets: list[NewSecret]
    marks: Mapping[str, str]


def host_names(service: str, namespace: str) -> list[str]:
    """The names that a server is reached by: from its namespace, from others, and through a tunnel.

    Fluvio's clients put an SPU's name in front of the SC's, so the broker's has those names too.
    """
    full = (service, f"{service}.{namespace}", f"{service}.{namespace}.svc")
    names = (*full, f"{service}.{namespace}.{_CLUSTER_DOMAIN}")
    # Not every client takes `*.qd-broker` for a name of two labels.
    spus = [f"{SPU_NAME}.{name}" for name in names] if service == BROKER else []
    return [*names, *spus, "localhost", "127.0.0.1"]


def names_for(objects: Sequence[Json]) -> tuple[str, ...]:
    """The Secrets that are made for these objects: of no server that runs somewhere else."""
    services = {name_of(each) for each in objects if kind_of(each) == "Service"}
    return (CA, *(name for name, service in SERVERS.items() if service in services), CLIENT)


def renewed(names: Sequence[str], there: Sequence[Json], namespace: str, now: datetime) -> Renewal:
    """Keep what is good, make what is missing or ends soon.

    Parameters
    ----------
    names : sequence of str
        Those that there shall be.
    there : sequence of mapping
        The Secrets that are there.
    namespace : str
        Of the Services.
    now : datetime
        The time, with its zone.
    """
    known = {name: pair for each in there for name, pair in _pair_of(each)}
    ca = known.get(CA)
    made: dict[str, Pair] = {}
    if ca is None or not _is_good(ca, now):
        ca = made[CA] = _new_ca(namespace, now)
    leaves = [name for name in names if name != CA]
    for name in leaves:
        hosts = host_names(SERVERS[name], namespace) if name in SERVERS else []
        old = known.get(name)
        if old is None or CA in made or not _is_good(old, now, hosts=hosts, ca=ca):
            made[name] = _new_leaf(name, hosts, ca, now)
    current = {**known, **made}
    return Renewal(
        [_secret(name, pair, ca) for name, pair in made.items()],
        {name: _mark(current[name]) for name in leaves},
    )


def _pair_of(secret: Json) -> list[tuple[str, Pair]]:
    """A Secret's certificate and key; nothing where it has none that can be read."""
    data = secret.get("data") or {}
    try:
        texts = [base64.b64decode(data[key]).decode() for key in ("tls.crt", "tls.key")]
    except (KeyError, ValueError, binascii.Error):
        return []
    return [(secret["metadata"]["name"], Pair(*texts))]


def _mark(pair: Pair) -> str:
    return hashlib.sha256(pair.certificate.encode()).hexdigest()[:16]


def _secret(name: str, pair: Pair, ca: Pair) -> NewSecret:
    text = {"tls.crt": pair.certificate, "tls.key": pair.key, "ca.crt": ca.certificate}
    return NewSecret(name, secret_object(name, "tls", text, _TYPE), (pair.key,))


def _loaded(pair: Pair) -> tuple[x509.Certificate, EllipticCurvePrivateKey]:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    certificate = x509.load_pem_x509_certificate(pair.certificate.encode())
    key = load_pem_private_key(pair.key.encode(), None)
    if not isinstance(key, EllipticCurvePrivateKey):
        raise ValueError("a key of another kind")
    if key.public_key() != certificate.public_key():
        raise ValueError("a certificate and the key of another")
    return certificate, key


def _is_good(
    pair: Pair, now: datetime, *, hosts: Sequence[str] = (), ca: Pair | None = None
) -> bool:
    """Whether a certificate may stay."""
    try:
        certificate, _ = _loaded(pair)
        if ca is not None:
            certificate.verify_directly_issued_by(_loaded(ca)[0])
    except Exception:  # whatever is wrong with it: a new one is right
        return False
    ends = certificate.not_valid_after_utc - timedelta(days=RENEW_DAYS)
    return certificate.not_valid_before_utc <= now < ends and set(hosts) <= _hosts_of(certificate)


def _hosts_of(certificate: x509.Certificate) -> set[str]:
    from cryptography import x509

    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return set()
    addresses = found.get_values_for_type(x509.IPAddress)
    return {*found.get_values_for_type(x509.DNSName), *map(str, addresses)}


def _new_ca(namespace: str, now: datetime) -> Pair:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    # A new CA has a name of its own: who still has the old one is not led astray by it.
    name = _name(f"qd {namespace} CA {now:%Y-%m-%d %H:%M:%S}")
    builder = _builder(name, name, key, now, CA_DAYS).add_extension(
        x509.BasicConstraints(ca=True, path_length=0), critical=True
    )
    usage = _usage(signs_certificates=True)
    builder = builder.add_extension(usage, critical=True)
    return _pem(builder.sign(key, hashes.SHA256()), key)


def _new_leaf(name: str, hosts: Sequence[str], ca: Pair, now: datetime) -> Pair:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID as Purpose

    issuer, signer = _loaded(ca)
    key = ec.generate_private_key(ec.SECP256R1())
    purpose = Purpose.SERVER_AUTH if hosts else Purpose.CLIENT_AUTH
    builder = (
        _builder(_name(name), issuer.subject, key, now, DAYS)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(), critical=True)
        .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        .add_extension(x509.SubjectAlternativeName(_general(hosts or [name])), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False
        )
    )
    return _pem(builder.sign(signer, hashes.SHA256()), key)


def _general(hosts: Sequence[str]) -> list[x509.GeneralName]:
    from cryptography import x509

    found: list[x509.GeneralName] = []
    for host in hosts:
        try:
            found.append(x509.IPAddress(ipaddress.ip_address(host)))
        except ValueError:
            found.append(x509.DNSName(host))
    return found


def _name(common: str) -> x509.Name:
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _builder(
    subject: x509.Name, issuer: x509.Name, key: EllipticCurvePrivateKey, now: datetime, days: int
) -> x509.CertificateBuilder:
    from cryptography import x509

    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _usage(*, signs_certificates: bool = False) -> x509.KeyUsage:
    from cryptography import x509

    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(certificate: x509.Certificate, key: EllipticCurvePrivateKey) -> Pair:
    from cryptography.hazmat.primitives import serialization

    text = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return Pair(certificate.public_bytes(serialization.Encoding.PEM).decode(), text.decode())
