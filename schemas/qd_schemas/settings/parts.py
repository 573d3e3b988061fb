"""What several parts are set to: the cluster, the database, symdb, TLS, logs, tokens.

Values, and how each is made of the settings in `table`; `qd_schemas.specs` has whole services.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Final, Self

from qd_schemas.errors import SettingError
from qd_schemas.settings import table
from qd_schemas.settings.choices import ClientKind, LogFormat, LogLevel, SpuAddress
from qd_schemas.settings.given import Given
from qd_schemas.settings.kinds import Address
from qd_schemas.settings.secrets import secret_of
from qd_schemas.settings.setting import Setting

Environment = Mapping[str, str]

FLUVIO_TLS_NAMES: Final = (
    "QD_FLUVIO_TLS_CA",
    "QD_FLUVIO_TLS_DOMAIN",
    "QD_FLUVIO_TLS_CERT",
    "QD_FLUVIO_TLS_KEY",
)
"""The settings of TLS to the cluster, in the order of the attributes of `TlsSettings`."""
SYMDB_TLS_NAMES: Final = (
    "QD_SYMDB_TLS_CA",
    "QD_SYMDB_TLS_DOMAIN",
    "QD_SYMDB_TLS_CLIENT_CERT",
    "QD_SYMDB_TLS_CLIENT_KEY",
)
"""The settings of TLS to symdb, in the same order."""


class Readable:
    """What is read whole from an environment, and the file that it names."""

    __slots__ = ()

    @classmethod
    def read(cls, given: Given) -> Self:
        """Read the settings of this part."""
        raise NotImplementedError

    @classmethod
    def from_env(cls, env: Environment) -> Self:
        """Read the settings of this part.

        Raises
        ------
        SettingError
            One is missing or makes no sense.
        """
        return cls.read(Given.of(env))


@dataclass(frozen=True, slots=True)
class LogSettings(Readable):
    """What log lines are written (QD_LOG_LEVEL), and how (QD_LOG_FORMAT)."""

    level: LogLevel = table.LOG_LEVEL.usual
    format: LogFormat = table.LOG_FORMAT.usual

    @classmethod
    def read(cls, given: Given) -> Self:
        """Read the settings named above."""
        return cls(given.get(table.LOG_LEVEL), given.get(table.LOG_FORMAT))


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """How a TLS connection to a server is made sure of.

    Attributes
    ----------
    ca : str
        Path of the PEM file with the certificates that sign the server's (QD_FLUVIO_TLS_CA,
        QD_SYMDB_TLS_CA).
    domain : str
        The name that the server's certificates are for (QD_FLUVIO_TLS_DOMAIN,
        QD_SYMDB_TLS_DOMAIN); empty means the host of the endpoint.
    cert, key : str
        Paths of this client's PEM certificate and key, where the server asks for them
        (QD_FLUVIO_TLS_CERT and QD_FLUVIO_TLS_KEY, QD_SYMDB_TLS_CLIENT_CERT and
        QD_SYMDB_TLS_CLIENT_KEY); both or neither.
    """

    ca: str
    domain: str = ""
    cert: str = ""
    key: str = ""

    @classmethod
    def from_env(
        cls, env: Environment, names: tuple[str, str, str, str] = FLUVIO_TLS_NAMES
    ) -> TlsSettings | None:
        """Read the settings of these names; None where no TLS is wanted."""
        return cls.read(Given.of(env), names)

    @classmethod
    def read(
        cls, given: Given, names: tuple[str, str, str, str] = FLUVIO_TLS_NAMES
    ) -> TlsSettings | None:
        """Read the settings of these names; None where no TLS is wanted."""
        settings = [table.BY_NAME[name] for name in names]
        ca, domain, cert, key = (given.find(setting) or "" for setting in settings)
        if not ca:
            others = [setting for setting in settings if given.text(setting)]
            if others:
                raise SettingError(
                    f"{given.origin(others[0])} is set but {names[0]} is not; expected the path "
                    "of the CA's certificates in it, or none of the "
                    f"{names[0].removesuffix('_CA')} settings"
                )
            return None
        if bool(cert) != bool(key):
            found, missing = settings[2:] if cert else settings[:1:-1]
            raise SettingError(
                f"{given.origin(found)} is set but {missing.name} is not; expected both or neither"
            )
        return cls(ca, domain, cert, key)


@dataclass(frozen=True, slots=True)
class FluvioSettings(Readable):
    """The Fluvio cluster and how to speak to it.

    Attributes
    ----------
    endpoint : str
        ``host:port`` of its SC (QD_FLUVIO).
    client : ClientKind
        Which client to use (QD_FLUVIO_CLIENT: official, the default, or native).
    tls : TlsSettings or None
        None speaks without TLS.
    spu_address : SpuAddress
        Which of an SPU's addresses is used (QD_FLUVIO_SPU_ADDRESS).
    addresses : tuple of (str, str)
        Addresses as the cluster tells them, and where they are reached (QD_FLUVIO_ADDRESSES);
        certificates are for the former. Of the native client only.
    """

    endpoint: str
    client: ClientKind = table.FLUVIO_CLIENT.usual
    tls: TlsSettings | None = None
    spu_address: SpuAddress = table.FLUVIO_SPU_ADDRESS.usual
    addresses: tuple[tuple[str, str], ...] = ()

    @classmethod
    def read(cls, given: Given) -> Self:
        """Read the settings named above."""
        return cls(
            given.get(table.FLUVIO).endpoint,
            given.get(table.FLUVIO_CLIENT),
            TlsSettings.read(given),
            given.get(table.FLUVIO_SPU_ADDRESS),
            given.find(table.FLUVIO_ADDRESSES) or (),
        )

    def reached(self, address: str) -> str:
        """Where an address of the cluster, ``host:port``, is reached from here."""
        return dict(self.addresses).get(address, address)


@dataclass(frozen=True, slots=True)
class DatabaseSettings(Readable):
    """The market database: its DSN, or the file that holds it.

    Attributes
    ----------
    dsn : str
        ``postgresql://...`` (QD_DATABASE); it may hold a password, so it is not shown.
    file : str
        Path of a file with the DSN in it (QD_DATABASE_FILE); empty where `dsn` is given.
    """

    dsn: str = field(default="", repr=False)
    file: str = ""

    @classmethod
    def read(cls, given: Given) -> Self:
        """Read QD_DATABASE or QD_DATABASE_FILE."""
        given.one_of(table.DATABASE, table.DATABASE_FILE)
        if file := given.find(table.DATABASE_FILE):
            return cls(file=file)
        return cls(given.get(table.DATABASE))


@dataclass(frozen=True, slots=True)
class SymdbSettings(Address, Readable):
    """Where symdb is, from QD_SYMDB; to the service itself port 0 means a free one."""

    @classmethod
    def read(cls, given: Given) -> Self:
        """Read QD_SYMDB."""
        found = given.get(table.SYMDB)
        return cls(found.host, found.port)


@dataclass(frozen=True, slots=True)
class ServerTlsSettings:
    """What a server shows its clients, and which clients it trusts.

    Attributes
    ----------
    cert, key : str
        Its PEM certificate and key (QD_SYMDB_TLS_CERT, QD_SYMDB_TLS_KEY).
    client_ca : str
        Path of the PEM file with the certificates that sign clients'
        (QD_SYMDB_TLS_CLIENT_CA); empty takes clients without one.
    """

    cert: str
    key: str
    client_ca: str = ""

    _SETTINGS: ClassVar = (table.SYMDB_TLS_CERT, table.SYMDB_TLS_KEY, table.SYMDB_TLS_CLIENT_CA)

    @classmethod
    def read(cls, given: Given) -> Self | None:
        """Read the settings named above; None where no TLS is wanted."""
        cert, key, client_ca = (given.find(setting) or "" for setting in cls._SETTINGS)
        if not (cert or key or client_ca):
            return None
        for setting, value in zip(cls._SETTINGS[:2], (cert, key), strict=True):
            if not value:
                names = ", ".join(each.name for each in cls._SETTINGS)
                raise SettingError(f"{given.missing(setting)}, or none of {names}")
        return cls(cert, key, client_ca)


@dataclass(frozen=True, slots=True)
class TokenSettings:
    """A client's token, or the file that holds it; it is a secret and never shown.

    Attributes
    ----------
    token : str
        The text that `qd clients add` printed; empty where there is none, or a file.
    file : str
        Path of a file with it.
    """

    token: str = field(default="", repr=False)
    file: str = ""

    @classmethod
    def read(cls, given: Given, token: Setting[str], file: Setting[str]) -> Self:
        """Read a token's two settings."""
        given.one_of(token, file)
        return cls(given.find(token) or "", given.find(file) or "")

    def secret(self) -> str:
        """The token itself, read from the file where it is in one; empty where there is none.

        Raises
        ------
        SettingError
            The file cannot be read, or holds something else.
        """
        return secret_of("the token's setting", self.file) if self.file else self.token


NO_TOKEN: Final = TokenSettings()
"""What a client without a token has."""
