"""TLS towards the cluster: what is trusted, under which names, and what a failure means.

Contexts and words only; it opens no connection.
"""

from __future__ import annotations

import ipaddress
import ssl

from qd_fluvio.errors import TlsFailed, TlsUnanswered
from qd_schemas.errors import SettingError
from qd_schemas.pem import PemFile, load_own, load_trusted
from qd_schemas.specs import TlsSettings

_EXPIRED, _NOT_YET_VALID, _WRONG_NAME, _WRONG_ADDRESS = 10, 9, 62, 64  # of X509_verify_cert_error
# What a server without TLS makes of a greeting, and what OpenSSL calls it.
_PLAIN_SERVER = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST", "EOF occurred")
_CLIENT_REFUSED = ("CERTIFICATE_REQUIRED", "HANDSHAKE_FAILURE", "UNKNOWN_CA", "BAD_CERTIFICATE")
# How a server with TLS begins its answer to one who speaks none: an alert of TLS 1.x.
ALERT = b"\x15\x03"


def client_context(settings: TlsSettings) -> ssl.SSLContext:
    """What to trust, and with which certificate to be trusted.

    Raises
    ------
    TlsFailed
        A file is missing, or is not what its setting says.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # verifies certificates and names
    try:
        load_trusted(context, PemFile("QD_FLUVIO_TLS_CA", settings.ca), "the cluster's")
        if settings.cert:
            cert = PemFile("QD_FLUVIO_TLS_CERT", settings.cert)
            load_own(context, cert, PemFile("QD_FLUVIO_TLS_KEY", settings.key))
    except SettingError as error:
        raise TlsFailed(str(error)) from None
    return context


def server_name(settings: TlsSettings, endpoint: str, spu: str = "") -> str:
    """The name that a server's certificate must be for.

    Fluvio's rule: the SC's is the domain, an SPU's is its own name in front of the domain, so
    that a certificate for ``domain`` and ``*.domain`` serves a whole cluster. An IP address
    has no such names, so there one certificate for the address serves both.

    Parameters
    ----------
    settings : TlsSettings
        Its domain; empty means the endpoint's host.
    endpoint : str
        ``host:port`` of the SC.
    spu : str
        The SPU's name; empty for the SC.
    """
    domain = settings.domain or endpoint.rpartition(":")[0].strip("[]")
    return f"{spu}.{domain}" if spu and not is_address(domain) else domain


def is_address(host: str) -> bool:
    """Whether a host is an IP address and not a name."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def tls_failure(error: Exception, address: str, name: str) -> TlsFailed:
    """What went wrong with a TLS connection, in words.

    Parameters
    ----------
    error : Exception
        What `ssl` or the socket raised while it was made, or when the first answer was awaited.
    address : str
        ``host:port`` of the server.
    name : str
        The name that its certificate had to be for.
    """
    kind = TlsUnanswered if _is_silent(error) else TlsFailed
    return kind(f"no secure connection to {address}: {_words(error, name)}")


def client_refused(address: str) -> TlsFailed:
    """The server closes the connection as soon as TLS is agreed on."""
    return TlsFailed(f"no secure connection to {address}: {_refused_words('it says no more')}")


def _refused_words(said: object) -> str:
    return (
        f"the cluster does not accept this client ({said}); set QD_FLUVIO_TLS_CERT and "
        "QD_FLUVIO_TLS_KEY to a certificate that it accepts, and its key"
    )


def _is_silent(error: Exception) -> bool:
    """Whether it closed without a word of TLS, as one does that is being stopped."""
    return isinstance(error, OSError | EOFError) and not isinstance(error, ssl.SSLError)


def _words(error: Exception, name: str) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return _certificate_words(error, name)
    if any(text in str(error) for text in _CLIENT_REFUSED):
        return _refused_words(error)
    if _is_silent(error):
        found = "it does not answer the greeting"
    elif any(text in str(error) for text in _PLAIN_SERVER):
        found = "it does not answer as a TLS server"
    else:
        return str(error)
    return (
        f"{found} ({str(error) or 'closed'}); check that this port speaks TLS, or unset "
        "QD_FLUVIO_TLS_CA"
    )


def _certificate_words(error: ssl.SSLCertVerificationError, name: str) -> str:
    if error.verify_code == _EXPIRED:
        return "the cluster's certificate has expired; it needs a new one"
    if error.verify_code == _NOT_YET_VALID:
        return "the cluster's certificate is not valid yet; check both clocks"
    if error.verify_code in (_WRONG_NAME, _WRONG_ADDRESS):
        return (
            f"the cluster's certificate is not for {name}; set QD_FLUVIO_TLS_DOMAIN to the domain "
            "that it is for"
        )
    return (
        f"the cluster's certificate is not signed by those in QD_FLUVIO_TLS_CA "
        f"({error.verify_message}); check that this is the right file and the right cluster"
    )
