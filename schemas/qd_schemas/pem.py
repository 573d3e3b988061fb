"""PEM files that settings name, loaded into TLS contexts; what is wrong with one is said by name.

Services and clients of all parts load theirs here. No connections.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path

from qd_schemas.errors import SettingError


@dataclass(frozen=True, slots=True)
class PemFile:
    """A file, and the setting or option that names it.

    Raises
    ------
    SettingError
        It cannot be read.
    """

    setting: str
    path: Path | str

    def __post_init__(self) -> None:
        try:
            with Path(self.path).open("rb"):
                pass
        except OSError as error:
            raise SettingError(
                f"{self}, which cannot be read ({error.strerror}); expected the path of a PEM file"
            ) from None

    def __str__(self) -> str:
        return f"{self.setting} names {self.path}"


def load_own(context: ssl.SSLContext, cert: PemFile, key: PemFile) -> None:
    """Show this certificate to the other side.

    Raises
    ------
    SettingError
        They are no pair of a certificate and its key, or the key is encrypted.
    """

    def no_password() -> str:
        raise SettingError(f"{key}, which is encrypted; expected a key without a password")

    try:
        context.load_cert_chain(cert.path, key.path, no_password)
    except (ssl.SSLError, OSError) as error:
        raise SettingError(
            f"{cert} and {key}, which are no pair of a PEM certificate and its key ({error})"
        ) from None


def load_trusted(context: ssl.SSLContext, authorities: PemFile, whose: str) -> None:
    """Trust certificates that these authorities sign.

    Parameters
    ----------
    whose : str
        Whose certificates they sign, for the error.

    Raises
    ------
    SettingError
        There are none in the file.
    """
    try:
        context.load_verify_locations(authorities.path)
    except (ssl.SSLError, OSError) as error:
        raise SettingError(
            f"{authorities}, which holds no PEM certificates ({error}); expected those that sign "
            f"{whose}"
        ) from None
