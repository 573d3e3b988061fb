"""TLS towards the symbol master: what is trusted, and what a failure means. No connections."""

from __future__ import annotations

import ssl
from pathlib import Path

from qd_client.errors import SymdbTlsFailed
from qd_schemas.specs import SYMDB_TLS_NAMES, TlsSettings

_CA, _DOMAIN, _CERT, _KEY = SYMDB_TLS_NAMES
_WRONG_NAME, _WRONG_ADDRESS = 62, 64  # of X509_verify_cert_error


def client_context(settings: TlsSettings) -> ssl.SSLContext:
    """What to trust, and with which certificate to be trusted.

    Raises
    ------
    SymdbTlsFailed
        A file is missing, or is not what its setting says.
    """
    for name, path in ((_CA, settings.ca), (_CERT, settings.cert), (_KEY, settings.key)):
        _require_readable(name, path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # verifies certificates and names
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["h2"])
    try:
        context.load_verify_locations(settings.ca)
    except (ssl.SSLError, OSError) as error:
        raise SymdbTlsFailed(
            f"{_CA} names {settings.ca}, which holds no PEM certificates ({error}); "
            "expected those that sign symdb's"
        ) from None
    if settings.cert:
        _load_own(context, settings)
    return context


def tls_words(error: ssl.SSLError, name: str) -> str:
    """What went wrong, and what to do.

    Parameters
    ----------
    error : ssl.SSLError
        What was raised while the connection was made.
    name : str
        The name that the certificate had to be for.
    """
    if not isinstance(error, ssl.SSLCertVerificationError):
        return f"{error.reason or error}; check that this port speaks TLS, or unset {_CA}"
    if error.verify_code in (_WRONG_NAME, _WRONG_ADDRESS):
        return f"its certificate is not for {name}; set {_DOMAIN} to the name that it is for"
    return (
        f"its certificate is not trusted ({error.verify_message}); check that {_CA} names "
        "those that sign it"
    )


def _require_readable(name: str, path: str) -> None:
    if not path:
        return
    try:
        with Path(path).open("rb"):
            pass
    except OSError as error:
        raise SymdbTlsFailed(
            f"{name} names {path}, which cannot be read ({error.strerror}); "
            "expected the path of a PEM file"
        ) from None


def _load_own(context: ssl.SSLContext, settings: TlsSettings) -> None:
    def no_password() -> str:
        raise SymdbTlsFailed(
            f"{_KEY} names {settings.key}, which is encrypted; expected a key without a password"
        )

    try:
        context.load_cert_chain(settings.cert, settings.key, no_password)
    except (ssl.SSLError, OSError) as error:
        raise SymdbTlsFailed(
            f"{_CERT} names {settings.cert} and {_KEY} {settings.key}, which are no pair of a PEM "
            f"certificate and its key ({error})"
        ) from None
