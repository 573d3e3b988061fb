"""TLS towards the symbol master: what is trusted, and what a failure means. No connections."""

from __future__ import annotations

import ssl

from qd_client.errors import SymdbTlsFailed
from qd_schemas.errors import SettingError
from qd_schemas.pem import PemFile, load_own, load_trusted
from qd_schemas.renewed import RenewedContext
from qd_schemas.specs import SYMDB_TLS_NAMES, TlsSettings

_CA, _DOMAIN, _CERT, _KEY = SYMDB_TLS_NAMES
_WRONG_NAME, _WRONG_ADDRESS = 62, 64  # of X509_verify_cert_error


def tls_of(settings: TlsSettings) -> RenewedContext:
    """What to trust, and with which certificate to be trusted, by the files as they are then.

    Raises
    ------
    SymdbTlsFailed
        A file is missing, or is not what its setting says.
    """
    paths = filter(None, (settings.ca, settings.cert, settings.key))
    return RenewedContext(lambda: _context(settings), paths)


def _context(settings: TlsSettings) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # verifies certificates and names
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["h2"])
    try:
        load_trusted(context, PemFile(_CA, settings.ca), "symdb's")
        if settings.cert:
            load_own(context, PemFile(_CERT, settings.cert), PemFile(_KEY, settings.key))
    except SettingError as error:
        raise SymdbTlsFailed(str(error)) from None
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
