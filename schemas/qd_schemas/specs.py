"""The services and what each is set to: frozen values, made of the settings in `settings.table`.

Nothing here reads the environment itself: ``from_env`` takes a mapping such as ``os.environ``,
and looks into the file that QD_CONFIG names there for what the mapping does not set. Each error
names the setting, what was found, where, and what is expected.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

from qd_schemas.enums import ExchangeId, ServiceId
from qd_schemas.errors import SettingError
from qd_schemas.settings import table
from qd_schemas.settings.choices import (
    ClientKind,
    LogFormat,
    LogLevel,
    SpuAddress,
    TokenRule,
    Version1Rule,
)
from qd_schemas.settings.given import Given
from qd_schemas.settings.kinds import Address
from qd_schemas.settings.parts import (
    FLUVIO_TLS_NAMES,
    NO_TOKEN,
    SYMDB_TLS_NAMES,
    DatabaseSettings,
    Environment,
    FluvioSettings,
    LogSettings,
    Readable,
    ServerTlsSettings,
    SymdbSettings,
    TlsSettings,
    TokenSettings,
)
from qd_schemas.settings.setting import Setting
from qd_schemas.settings.table import LEASE_MS_DEFAULT, LEASE_MS_MAX, LEASE_MS_MIN

__all__ = (
    "FLUVIO_TLS_NAMES",
    "LEASE_MS_DEFAULT",
    "LEASE_MS_MAX",
    "LEASE_MS_MIN",
    "NO_TOKEN",
    "SERVICES",
    "SYMDB_TLS_NAMES",
    "Address",
    "AnalyticsSettings",
    "ClientKind",
    "ClientSettings",
    "DatabaseSettings",
    "Environment",
    "FluvioSettings",
    "GatewaySettings",
    "LogFormat",
    "LogLevel",
    "LogSettings",
    "ServerTlsSettings",
    "ServiceSpec",
    "SpuAddress",
    "SymdbServiceSettings",
    "SymdbSettings",
    "TlsSettings",
    "TokenRule",
    "TokenSettings",
    "Version1Rule",
)


@dataclass(frozen=True, slots=True)
class SymdbServiceSettings(Readable):
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
        Where metrics and health are served (QD_SYMDB_METRICS); None: nowhere.
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
    connections_max: int = table.SYMDB_CONNECTIONS_MAX.usual
    calls_max: int = table.SYMDB_CALLS_MAX.usual
    watches_max: int = table.SYMDB_WATCHES_MAX.usual

    @classmethod
    def read(cls, given: Given) -> Self:
        """Read the settings named above."""
        return cls(
            SymdbSettings.read(given),
            DatabaseSettings.read(given),
            ServerTlsSettings.read(given),
            given.find(table.SYMDB_METRICS),
            given.get(table.SYMDB_CONNECTIONS_MAX),
            given.get(table.SYMDB_CALLS_MAX),
            given.get(table.SYMDB_WATCHES_MAX),
        )


@dataclass(frozen=True, slots=True)
class GatewaySettings(Readable):
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
        Where metrics and health are served (QD_GATEWAY_METRICS); None: nowhere.
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
    lease_ms: int = table.LEASE_MS.usual
    name: str = ""
    group: str = ""
    tokens: TokenRule = table.GATEWAY_TOKENS.usual
    version_1: Version1Rule = Version1Rule.ALLOW
    metrics: Address | None = None
    sessions_max: int = table.GATEWAY_SESSIONS_MAX.usual
    streams_max: int = table.GATEWAY_STREAMS_MAX.usual
    streams_per_client_max: int = table.GATEWAY_STREAMS_PER_CLIENT_MAX.usual
    requests_per_second_max: int = table.GATEWAY_REQUESTS_PER_SECOND_MAX.usual

    @classmethod
    def read(cls, given: Given) -> Self:
        """Read the settings named above."""
        fluvio = FluvioSettings.read(given)
        tokens = given.get(table.GATEWAY_TOKENS)
        by_tokens = Version1Rule.ALLOW if tokens is TokenRule.OPTIONAL else Version1Rule.REFUSE
        return cls(
            fluvio=fluvio,
            database=DatabaseSettings.read(given),
            lease_ms=given.get(table.LEASE_MS),
            name=given.find(table.GATEWAY_NAME) or "",
            group=given.find(table.GATEWAY_GROUP) or fluvio.endpoint,
            tokens=tokens,
            version_1=given.find(table.GATEWAY_VERSION_1) or by_tokens,
            metrics=given.find(table.GATEWAY_METRICS),
            sessions_max=given.get(table.GATEWAY_SESSIONS_MAX),
            streams_max=given.get(table.GATEWAY_STREAMS_MAX),
            streams_per_client_max=given.get(table.GATEWAY_STREAMS_PER_CLIENT_MAX),
            requests_per_second_max=given.get(table.GATEWAY_REQUESTS_PER_SECOND_MAX),
        )


@dataclass(frozen=True, slots=True)
class ClientSettings(Readable):
    """A program or command that is the gateway's client.

    Attributes
    ----------
    client_id : int or None
        Its id (QD_CLIENT_ID); None draws one at random.
    token : TokenSettings
        What proves that the id is its own (QD_CLIENT_TOKEN or QD_CLIENT_TOKEN_FILE).
    """

    client_id: int | None = None
    token: TokenSettings = NO_TOKEN

    @classmethod
    def read(cls, given: Given) -> Self:
        """Read the settings named above."""
        client_id = given.find(table.CLIENT_ID)
        token = TokenSettings.read(given, table.CLIENT_TOKEN, table.CLIENT_TOKEN_FILE)
        if client_id is None and token != NO_TOKEN:
            found = table.CLIENT_TOKEN if token.token else table.CLIENT_TOKEN_FILE
            raise SettingError(
                f"{given.origin(found)} is set but {table.CLIENT_ID.name} is not; "
                "expected the id that the token is for"
            )
        return cls(client_id, token)


@dataclass(frozen=True, slots=True)
class AnalyticsSettings(Readable):
    """The analytics service.

    Attributes
    ----------
    client_id : int
        Its id as the gateway's client (QD_ANALYTICS_CLIENT_ID).
    exchange : ExchangeId
        Whose markets it watches (QD_EXCHANGE).
    watch : tuple of str
        The symbols it watches (QD_WATCH, separated by commas); empty means all.
    markets_at_once : int
        How many markets it streams at the same time (QD_MARKETS_AT_ONCE).
    models : str
        Which models watch each market, with their settings (QD_MODELS).
    checkpoint_seconds : float
        How often it saves where a market is (QD_CHECKPOINT_SECONDS).
    symdb_tls : TlsSettings or None
        How it speaks TLS to symdb; None speaks without.
    token : TokenSettings
        What proves its client id (QD_ANALYTICS_TOKEN or QD_ANALYTICS_TOKEN_FILE).
    metrics : Address or None
        Where metrics and health are served (QD_ANALYTICS_METRICS); None: nowhere.
    """

    fluvio: FluvioSettings
    symdb: SymdbSettings
    client_id: int = table.ANALYTICS_CLIENT_ID.usual
    exchange: ExchangeId = table.EXCHANGE.usual
    watch: tuple[str, ...] = ()
    markets_at_once: int = table.MARKETS_AT_ONCE.usual
    models: str = table.MODELS.usual
    checkpoint_seconds: float = table.CHECKPOINT_SECONDS.usual
    symdb_tls: TlsSettings | None = None
    token: TokenSettings = NO_TOKEN
    metrics: Address | None = None

    @classmethod
    def read(cls, given: Given) -> Self:
        """Read the settings named above, QD_FLUVIO, QD_SYMDB and the settings of TLS to both."""
        return cls(
            fluvio=FluvioSettings.read(given),
            symdb=SymdbSettings.read(given),
            client_id=given.get(table.ANALYTICS_CLIENT_ID),
            exchange=given.get(table.EXCHANGE),
            watch=given.find(table.WATCH) or (),
            markets_at_once=given.get(table.MARKETS_AT_ONCE),
            models=given.get(table.MODELS),
            checkpoint_seconds=given.get(table.CHECKPOINT_SECONDS),
            symdb_tls=TlsSettings.read(given, SYMDB_TLS_NAMES),
            token=TokenSettings.read(given, table.ANALYTICS_TOKEN, table.ANALYTICS_TOKEN_FILE),
            metrics=given.find(table.ANALYTICS_METRICS),
        )

    def watches(self, symbol: str) -> bool:
        """Whether a market is watched."""
        return not self.watch or symbol in self.watch


@dataclass(frozen=True, slots=True)
class ServiceSpec:
    """A service: its id, its name, the module that runs it, and what it is set to."""

    service_id: ServiceId
    name: str
    module: str
    reader: type[Readable]

    @property
    def settings(self) -> tuple[Setting[Any], ...]:
        """The settings that it gets, and no others."""
        return table.of_service(self.service_id)

    @property
    def required(self) -> tuple[str, ...]:
        """The names of those that it cannot start without."""
        return tuple(setting.name for setting in self.settings if setting.is_required)


SERVICES: Final[Mapping[ServiceId, ServiceSpec]] = {
    spec.service_id: spec
    for spec in (
        ServiceSpec(ServiceId.QDGW, "gateway", "qd_gateway", GatewaySettings),
        ServiceSpec(ServiceId.SYMDB, "symdb", "qd_symdb", SymdbServiceSettings),
        ServiceSpec(ServiceId.ANALYTICS, "analytics", "qd_analytics", AnalyticsSettings),
    )
}
"""Every service by its id."""
