"""The services and their settings, read from a mapping such as ``os.environ``.

Nothing here reads the environment itself. Each error names the setting, what was found and
what is expected.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from qd_schemas.enums import ExchangeId, ServiceId
from qd_schemas.errors import SettingError
from qd_schemas.settings.reading import (
    Environment,
    choice,
    endpoint,
    exchange,
    integer,
    joined,
    limit,
    required,
    seconds,
)
from qd_schemas.topics import CLIENT_ID_MAX, CLIENT_ID_MIN

LEASE_MS_DEFAULT: Final = 6_000
LEASE_MS_MIN: Final = 300
LEASE_MS_MAX: Final = 3_600_000
ANALYTICS_CLIENT_ID: Final = 65_000  # far from what users tend to choose
POLL_SECONDS_DEFAULT: Final = 1.0
POLL_SECONDS_MIN: Final = 0.01
POLL_SECONDS_MAX: Final = 3_600.0
MARKETS_AT_ONCE_DEFAULT: Final = 4
MARKETS_AT_ONCE_MAX: Final = 64

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
CONNECTIONS_MAX_DEFAULT: Final = 1_000
CALLS_MAX_DEFAULT: Final = 1_000
WATCHES_MAX_DEFAULT: Final = 1_000
SESSIONS_MAX_DEFAULT: Final = 1_000
STREAMS_MAX_DEFAULT: Final = 1_000
STREAMS_PER_CLIENT_MAX_DEFAULT: Final = 16
REQUESTS_PER_SECOND_MAX_DEFAULT: Final = 200


@dataclass(frozen=True, slots=True)
class ServiceSpec:
    """A service: its id, its name, the module that runs it, and the settings it must have."""

    service_id: ServiceId
    name: str
    module: str
    required: tuple[str, ...]


SERVICES: Final[Mapping[ServiceId, ServiceSpec]] = {
    spec.service_id: spec
    for spec in (
        ServiceSpec(ServiceId.QDGW, "gateway", "qd_gateway", ("QD_FLUVIO", "QD_DATABASE")),
        ServiceSpec(ServiceId.SYMDB, "symdb", "qd_symdb", ("QD_SYMDB", "QD_DATABASE")),
        ServiceSpec(ServiceId.ANALYTICS, "analytics", "qd_analytics", ("QD_FLUVIO", "QD_SYMDB")),
    )
}
"""Every service by its id."""


class ClientKind(Enum):
    """Which client speaks to Fluvio."""

    OFFICIAL = "official"
    """Fluvio's own Python client, in processes of its own."""
    NATIVE = "native"
    """This project's client: asyncio on the wire protocol itself."""


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
        ca, domain, cert, key = (env.get(name, "").strip() for name in names)
        if not ca:
            given = [name for name in names if env.get(name, "").strip()]
            if given:
                raise SettingError(
                    f"{given[0]} is set but {names[0]} is not; expected the path of the CA's "
                    f"certificates in it, or none of the {names[0].removesuffix('_CA')} settings"
                )
            return None
        if bool(cert) != bool(key):
            found, missing = names[2:] if cert else names[:1:-1]
            raise SettingError(f"{found} is set but {missing} is not; expected both or neither")
        return cls(ca, domain, cert, key)


@dataclass(frozen=True, slots=True)
class FluvioSettings:
    """The Fluvio cluster and how to speak to it.

    Attributes
    ----------
    endpoint : str
        ``host:port`` of its SC (QD_FLUVIO).
    client : ClientKind
        Which client to use (QD_FLUVIO_CLIENT: official, the default, or native).
    tls : TlsSettings or None
        None speaks without TLS.
    """

    endpoint: str
    client: ClientKind = ClientKind.OFFICIAL
    tls: TlsSettings | None = None

    @classmethod
    def from_env(cls, env: Environment) -> FluvioSettings:
        """Read the settings named above."""
        host, port = endpoint(env, "QD_FLUVIO", port_min=1)
        return cls(
            joined(host, port),
            choice(env, "QD_FLUVIO_CLIENT", ClientKind, ClientKind.OFFICIAL),
            TlsSettings.from_env(env),
        )


@dataclass(frozen=True, slots=True)
class DatabaseSettings:
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
    def from_env(cls, env: Environment, name: str = "QD_DATABASE") -> DatabaseSettings:
        """Read QD_DATABASE or QD_DATABASE_FILE; errors call the DSN by `name`."""
        file = env.get("QD_DATABASE_FILE", "").strip()
        if file:
            if env.get("QD_DATABASE", "").strip():
                raise SettingError(
                    "QD_DATABASE and QD_DATABASE_FILE are both set; expected one of them"
                )
            return cls(file=file)
        dsn = required(
            env, "QD_DATABASE", "a PostgreSQL DSN such as postgresql://host/qd, or QD_DATABASE_FILE"
        )
        if not dsn.startswith(("postgresql://", "postgres://")):
            # It may hold a password, or be one: nothing is shown but what is surely a scheme.
            scheme, mark, _ = dsn.partition("://")
            found = f"begins with {scheme[:20]!r}" if mark else "holds no DSN"
            raise SettingError(f"{name} {found}; expected a DSN that begins with postgresql://")
        return cls(dsn)


@dataclass(frozen=True, slots=True)
class Address:
    """A host and a port; where something listens, port 0 means a free one."""

    host: str
    port: int

    @classmethod
    def find(cls, env: Environment, name: str) -> Address | None:
        """Read an address to listen on; None where it is not set."""
        return cls(*endpoint(env, name, port_min=0)) if env.get(name, "").strip() else None

    @property
    def endpoint(self) -> str:
        """``host:port``."""
        return joined(self.host, self.port)


@dataclass(frozen=True, slots=True)
class SymdbSettings(Address):
    """Where symdb is, from QD_SYMDB; to the service itself port 0 means a free one."""

    @classmethod
    def from_env(cls, env: Environment) -> SymdbSettings:
        """Read QD_SYMDB."""
        return cls(*endpoint(env, "QD_SYMDB", port_min=0))


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

    @classmethod
    def from_env(cls, env: Environment) -> ServerTlsSettings | None:
        """Read the settings named above; None where no TLS is wanted."""
        names = ("QD_SYMDB_TLS_CERT", "QD_SYMDB_TLS_KEY", "QD_SYMDB_TLS_CLIENT_CA")
        cert, key, client_ca = (env.get(name, "").strip() for name in names)
        if not (cert or key or client_ca):
            return None
        for name, value in zip(names[:2], (cert, key), strict=True):
            if not value:
                raise SettingError(
                    f"{name} is not set; expected the path of a PEM file, or none of "
                    f"{', '.join(names)}"
                )
        return cls(cert, key, client_ca)


@dataclass(frozen=True, slots=True)
class SymdbServiceSettings:
    """The symbol master.

    Attributes
    ----------
    listen : SymdbSettings
        Where it listens; port 0 means a free one.
    database : DatabaseSettings
        Where the markets are.
    tls : ServerTlsSettings or None
        None speaks without TLS.
    metrics : Address or None
        Where Prometheus asks for metrics (QD_SYMDB_METRICS, host:port); None means nowhere.
    connections_max : int
        Clients connected at once (QD_SYMDB_CONNECTIONS_MAX).
    calls_max : int
        Calls being answered at once (QD_SYMDB_CALLS_MAX).
    watches_max : int
        Calls that go on for as long as the client likes (QD_SYMDB_WATCHES_MAX).
    """

    listen: SymdbSettings
    database: DatabaseSettings
    tls: ServerTlsSettings | None = None
    metrics: Address | None = None
    connections_max: int = CONNECTIONS_MAX_DEFAULT
    calls_max: int = CALLS_MAX_DEFAULT
    watches_max: int = WATCHES_MAX_DEFAULT

    @classmethod
    def from_env(cls, env: Environment) -> SymdbServiceSettings:
        """Read QD_SYMDB, QD_DATABASE (or QD_DATABASE_FILE) and the settings named above."""
        return cls(
            SymdbSettings.from_env(env),
            DatabaseSettings.from_env(env),
            ServerTlsSettings.from_env(env),
            Address.find(env, "QD_SYMDB_METRICS"),
            limit(env, "QD_SYMDB_CONNECTIONS_MAX", CONNECTIONS_MAX_DEFAULT),
            limit(env, "QD_SYMDB_CALLS_MAX", CALLS_MAX_DEFAULT),
            limit(env, "QD_SYMDB_WATCHES_MAX", WATCHES_MAX_DEFAULT),
        )


class TokenRule(Enum):
    """Whether a client must have a token to log in; one that has a token must always prove it."""

    OPTIONAL = "optional"
    REQUIRED = "required"


class Version1Rule(Enum):
    """Whether clients of protocol version 1, which cannot prove who they are, may log in."""

    ALLOW = "allow"
    REFUSE = "refuse"


@dataclass(frozen=True, slots=True)
class GatewaySettings:
    """The gateway.

    Attributes
    ----------
    fluvio : FluvioSettings
        Its cluster.
    database : DatabaseSettings
        Its database.
    lease_ms : int
        The lease of sessions that ask for none (QD_LEASE_MS).
    name : str
        Of this gateway among those of its group (QD_GATEWAY_NAME); empty means the host's.
    group : str
        Gateways of one group share the clients (QD_GATEWAY_GROUP; by default QD_FLUVIO's text).
    tokens : TokenRule
        Whether clients must have tokens (QD_GATEWAY_TOKENS).
    version_1 : Version1Rule
        Whether version 1 is served (QD_GATEWAY_VERSION_1; by default where tokens are optional).
    metrics : Address or None
        Where metrics and health are served (QD_GATEWAY_METRICS, host:port); None: nowhere.
    sessions_max : int
        Clients logged in at once (QD_GATEWAY_SESSIONS_MAX).
    streams_max, streams_per_client_max : int
        Streams at once, in all and of one client (QD_GATEWAY_STREAMS_MAX,
        QD_GATEWAY_STREAMS_PER_CLIENT_MAX).
    requests_per_second_max : int
        Requests of one client in a second (QD_GATEWAY_REQUESTS_PER_SECOND_MAX).
    """

    fluvio: FluvioSettings
    database: DatabaseSettings
    lease_ms: int = LEASE_MS_DEFAULT
    name: str = ""
    group: str = ""
    tokens: TokenRule = TokenRule.OPTIONAL
    version_1: Version1Rule = Version1Rule.ALLOW
    metrics: Address | None = None
    sessions_max: int = SESSIONS_MAX_DEFAULT
    streams_max: int = STREAMS_MAX_DEFAULT
    streams_per_client_max: int = STREAMS_PER_CLIENT_MAX_DEFAULT
    requests_per_second_max: int = REQUESTS_PER_SECOND_MAX_DEFAULT

    @classmethod
    def from_env(cls, env: Environment) -> GatewaySettings:
        """Read QD_FLUVIO, QD_DATABASE (or QD_DATABASE_FILE) and the settings named above."""
        tokens = choice(env, "QD_GATEWAY_TOKENS", TokenRule, TokenRule.OPTIONAL)
        by_tokens = Version1Rule.ALLOW if tokens is TokenRule.OPTIONAL else Version1Rule.REFUSE
        return cls(
            fluvio=FluvioSettings.from_env(env),
            database=DatabaseSettings.from_env(env),
            lease_ms=integer(env, "QD_LEASE_MS", LEASE_MS_DEFAULT, LEASE_MS_MIN, LEASE_MS_MAX),
            name=env.get("QD_GATEWAY_NAME", "").strip(),
            group=(env.get("QD_GATEWAY_GROUP", "").strip() or env["QD_FLUVIO"].strip()),
            tokens=tokens,
            version_1=choice(env, "QD_GATEWAY_VERSION_1", Version1Rule, by_tokens),
            metrics=Address.find(env, "QD_GATEWAY_METRICS"),
            sessions_max=limit(env, "QD_GATEWAY_SESSIONS_MAX", SESSIONS_MAX_DEFAULT),
            streams_max=limit(env, "QD_GATEWAY_STREAMS_MAX", STREAMS_MAX_DEFAULT),
            streams_per_client_max=limit(
                env, "QD_GATEWAY_STREAMS_PER_CLIENT_MAX", STREAMS_PER_CLIENT_MAX_DEFAULT
            ),
            requests_per_second_max=limit(
                env, "QD_GATEWAY_REQUESTS_PER_SECOND_MAX", REQUESTS_PER_SECOND_MAX_DEFAULT
            ),
        )


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
    def from_env(cls, env: Environment, name: str = "QD_CLIENT_TOKEN") -> TokenSettings:
        """Read the setting `name`, or ``name_FILE``."""
        token, file = (env.get(each, "").strip() for each in (name, f"{name}_FILE"))
        if token and file:
            raise SettingError(f"{name} and {name}_FILE are both set; expected one of them")
        return cls(token, file)


@dataclass(frozen=True, slots=True)
class ClientSettings:
    """A program or command that is the gateway's client.

    Attributes
    ----------
    client_id : int or None
        Its id (QD_CLIENT_ID); None draws one at random.
    token : TokenSettings
        What proves that the id is its own (QD_CLIENT_TOKEN or QD_CLIENT_TOKEN_FILE).
    """

    client_id: int | None = None
    token: TokenSettings = TokenSettings()

    @classmethod
    def from_env(cls, env: Environment) -> ClientSettings:
        """Read the settings named above."""
        found = integer(env, "QD_CLIENT_ID", 0, CLIENT_ID_MIN, CLIENT_ID_MAX)
        token = TokenSettings.from_env(env)
        if not found and token != TokenSettings():
            raise SettingError(
                "QD_CLIENT_TOKEN is set but QD_CLIENT_ID is not; "
                "expected the id that the token is for"
            )
        return cls(found or None, token)


@dataclass(frozen=True, slots=True)
class AnalyticsSettings:
    """The analytics service.

    Attributes
    ----------
    client_id : int
        Its id as the gateway's client (QD_ANALYTICS_CLIENT_ID).
    exchange : ExchangeId
        Whose markets it watches (QD_EXCHANGE).
    watch : tuple of str
        The symbols it watches (QD_WATCH, separated by commas); empty means all.
    poll_seconds : float
        How often it asks symdb for new trades (QD_POLL_SECONDS).
    markets_at_once : int
        How many markets it streams at the same time (QD_MARKETS_AT_ONCE).
    symdb_tls : TlsSettings or None
        How it speaks TLS to symdb; None speaks without.
    token : TokenSettings
        What proves its client id (QD_ANALYTICS_TOKEN or QD_ANALYTICS_TOKEN_FILE).
    metrics : Address or None
        Where metrics and health are served (QD_ANALYTICS_METRICS, host:port); None: nowhere.
    """

    fluvio: FluvioSettings
    symdb: SymdbSettings
    client_id: int = ANALYTICS_CLIENT_ID
    exchange: ExchangeId = ExchangeId.KRAKEN
    watch: tuple[str, ...] = ()
    poll_seconds: float = POLL_SECONDS_DEFAULT
    markets_at_once: int = MARKETS_AT_ONCE_DEFAULT
    symdb_tls: TlsSettings | None = None
    token: TokenSettings = TokenSettings()
    metrics: Address | None = None

    @classmethod
    def from_env(cls, env: Environment) -> AnalyticsSettings:
        """Read the settings named above, QD_FLUVIO, QD_SYMDB and the settings of TLS to both."""
        symbols = env.get("QD_WATCH", "").split(",")
        return cls(
            fluvio=FluvioSettings.from_env(env),
            symdb=SymdbSettings.from_env(env),
            client_id=integer(
                env, "QD_ANALYTICS_CLIENT_ID", ANALYTICS_CLIENT_ID, CLIENT_ID_MIN, CLIENT_ID_MAX
            ),
            exchange=exchange(env, "QD_EXCHANGE", ExchangeId.KRAKEN),
            watch=tuple(symbol.strip() for symbol in symbols if symbol.strip()),
            poll_seconds=seconds(
                env, "QD_POLL_SECONDS", POLL_SECONDS_DEFAULT, POLL_SECONDS_MIN, POLL_SECONDS_MAX
            ),
            markets_at_once=integer(
                env, "QD_MARKETS_AT_ONCE", MARKETS_AT_ONCE_DEFAULT, 1, MARKETS_AT_ONCE_MAX
            ),
            symdb_tls=TlsSettings.from_env(env, SYMDB_TLS_NAMES),
            token=TokenSettings.from_env(env, "QD_ANALYTICS_TOKEN"),
            metrics=Address.find(env, "QD_ANALYTICS_METRICS"),
        )

    def watches(self, symbol: str) -> bool:
        """Whether a market is watched."""
        return not self.watch or symbol in self.watch
