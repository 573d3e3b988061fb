"""All settings of all parts: this list is what everything else about settings is derived from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from qd_schemas.enums import ExchangeId, ServiceId
from qd_schemas.settings.choices import (
    ClientKind,
    LogFormat,
    LogLevel,
    SpuAddress,
    TokenRule,
    Version1Rule,
)
from qd_schemas.settings.kinds import (
    Choice,
    Detours,
    Dsn,
    Endpoint,
    Seconds,
    Secret,
    Text,
    Whole,
    Words,
)
from qd_schemas.settings.setting import Setting
from qd_schemas.topics import CLIENT_ID_MAX, CLIENT_ID_MIN

LEASE_MS_MIN: Final = 300
LEASE_MS_MAX: Final = 3_600_000
LEASE_MS_DEFAULT: Final = 6_000
ANALYTICS_CLIENT_ID_DEFAULT: Final = 65_000  # far from what users tend to choose
_LIMIT: Final = Whole(1, 1_000_000)
_CLIENT_ID: Final = Whole(CLIENT_ID_MIN, CLIENT_ID_MAX)
_PEM: Final = Text("the path of a PEM file")
_FILE: Final = Text("the path of a file with one line")
_TOKEN: Final = Secret("the text that `qd clients add` printed")
_LISTEN: Final = Endpoint(port_min=0)
_EXCHANGES: Final = {exchange.name.lower(): exchange for exchange in ExchangeId if exchange}

_ALL = (ServiceId.QDGW, ServiceId.SYMDB, ServiceId.ANALYTICS)
_GATEWAY = (ServiceId.QDGW,)
_SYMDB = (ServiceId.SYMDB,)
_ANALYTICS = (ServiceId.ANALYTICS,)
_ON_CLUSTER = (ServiceId.QDGW, ServiceId.ANALYTICS)
_ON_DATABASE = (ServiceId.QDGW, ServiceId.SYMDB)
_ON_SYMDB = (ServiceId.SYMDB, ServiceId.ANALYTICS)

# --- logs ---------------------------------------------------------------------------------

LOG_LEVEL: Final = Setting(
    "QD_LOG_LEVEL",
    "log.level",
    Choice({level.value: level for level in LogLevel}),
    "The least grave lines that are written.",
    _ALL,
    LogLevel.INFO,
)
LOG_FORMAT: Final = Setting(
    "QD_LOG_FORMAT",
    "log.format",
    Choice({form.value: form for form in LogFormat}),
    "Lines for people, or one JSON object a line.",
    _ALL,
    LogFormat.TEXT,
)

# --- the Fluvio cluster -------------------------------------------------------------------

FLUVIO: Final = Setting(
    "QD_FLUVIO",
    "fluvio.endpoint",
    Endpoint(port_min=1),
    "The cluster's SC.",
    _ON_CLUSTER,
    is_required=True,
)
FLUVIO_CLIENT: Final = Setting(
    "QD_FLUVIO_CLIENT",
    "fluvio.client",
    Choice({kind.value: kind for kind in ClientKind}),
    "Which client speaks to it: Fluvio's own in processes of its own, or this project's.",
    _ON_CLUSTER,
    ClientKind.OFFICIAL,
)
FLUVIO_SPU_ADDRESS: Final = Setting(
    "QD_FLUVIO_SPU_ADDRESS",
    "fluvio.spu_address",
    Choice({address.value: address for address in SpuAddress}),
    "Which of an SPU's addresses is used: local is for pods of the cluster in which Fluvio runs.",
    _ON_CLUSTER,
    SpuAddress.PUBLIC,
)
FLUVIO_ADDRESSES: Final = Setting(
    "QD_FLUVIO_ADDRESSES",
    "fluvio.addresses",
    Detours(),
    "Where the cluster's addresses are reached from here, through tunnels; native client only.",
    _ON_CLUSTER,
    default_words="where the cluster says",
)
FLUVIO_TLS_CA: Final = Setting(
    "QD_FLUVIO_TLS_CA",
    "fluvio.tls_ca",
    _PEM,
    "Who signs the cluster's certificates; without it there is no TLS.",
    _ON_CLUSTER,
)
FLUVIO_TLS_DOMAIN: Final = Setting(
    "QD_FLUVIO_TLS_DOMAIN",
    "fluvio.tls_domain",
    Text("a name"),
    "The name that the cluster's certificates are for.",
    _ON_CLUSTER,
    default_words="the endpoint's host",
)
FLUVIO_TLS_CERT: Final = Setting(
    "QD_FLUVIO_TLS_CERT",
    "fluvio.tls_cert",
    _PEM,
    "This side's certificate, where the cluster asks for one.",
    _ON_CLUSTER,
)
FLUVIO_TLS_KEY: Final = Setting(
    "QD_FLUVIO_TLS_KEY", "fluvio.tls_key", _PEM, "The key of that certificate.", _ON_CLUSTER
)

# --- the market database ------------------------------------------------------------------

DATABASE: Final = Setting(
    "QD_DATABASE",
    "database.dsn",
    Dsn(),
    "Its DSN.",
    _ON_DATABASE,
    is_required=True,
    is_secret=True,
    rival="QD_DATABASE_FILE",
)
DATABASE_FILE: Final = Setting(
    "QD_DATABASE_FILE",
    "database.dsn_file",
    _FILE,
    "A file with the DSN, instead.",
    _ON_DATABASE,
    rival="QD_DATABASE",
)

# --- the symbol master --------------------------------------------------------------------

SYMDB: Final = Setting(
    "QD_SYMDB",
    "symdb.endpoint",
    _LISTEN,
    "Where symdb listens (port 0: a free one), and where others find it.",
    _ON_SYMDB,
    is_required=True,
)
SYMDB_METRICS: Final = Setting(
    "QD_SYMDB_METRICS",
    "symdb.metrics",
    _LISTEN,
    "Where it serves metrics and health over HTTP.",
    _SYMDB,
    default_words="nowhere",
)
SYMDB_CONNECTIONS_MAX: Final = Setting(
    "QD_SYMDB_CONNECTIONS_MAX",
    "symdb.connections_max",
    _LIMIT,
    "Clients connected at once.",
    _SYMDB,
    1_000,
)
SYMDB_CALLS_MAX: Final = Setting(
    "QD_SYMDB_CALLS_MAX",
    "symdb.calls_max",
    _LIMIT,
    "Calls being answered at once.",
    _SYMDB,
    1_000,
)
SYMDB_WATCHES_MAX: Final = Setting(
    "QD_SYMDB_WATCHES_MAX",
    "symdb.watches_max",
    _LIMIT,
    "Calls that go on for as long as the client likes.",
    _SYMDB,
    1_000,
)
SYMDB_TLS_CERT: Final = Setting(
    "QD_SYMDB_TLS_CERT",
    "symdb.tls_cert",
    _PEM,
    "The certificate that symdb shows; without it there is no TLS.",
    _SYMDB,
)
SYMDB_TLS_KEY: Final = Setting(
    "QD_SYMDB_TLS_KEY", "symdb.tls_key", _PEM, "The key of that certificate.", _SYMDB
)
SYMDB_TLS_CLIENT_CA: Final = Setting(
    "QD_SYMDB_TLS_CLIENT_CA",
    "symdb.tls_client_ca",
    _PEM,
    "Who signs the certificates of symdb's clients; without it they need none.",
    _SYMDB,
)
SYMDB_TLS_CA: Final = Setting(
    "QD_SYMDB_TLS_CA",
    "symdb.tls_ca",
    _PEM,
    "To its clients: who signs symdb's certificate; without it they speak no TLS.",
    _ANALYTICS,
)
SYMDB_TLS_DOMAIN: Final = Setting(
    "QD_SYMDB_TLS_DOMAIN",
    "symdb.tls_domain",
    Text("a name"),
    "To its clients: the name that symdb's certificate is for.",
    _ANALYTICS,
    default_words="the endpoint's host",
)
SYMDB_TLS_CLIENT_CERT: Final = Setting(
    "QD_SYMDB_TLS_CLIENT_CERT",
    "symdb.tls_client_cert",
    _PEM,
    "The certificate that a client shows, where symdb asks for one.",
    _ANALYTICS,
)
SYMDB_TLS_CLIENT_KEY: Final = Setting(
    "QD_SYMDB_TLS_CLIENT_KEY",
    "symdb.tls_client_key",
    _PEM,
    "The key of that certificate.",
    _ANALYTICS,
)

# --- the gateway --------------------------------------------------------------------------

LEASE_MS: Final = Setting(
    "QD_LEASE_MS",
    "gateway.lease_ms",
    Whole(LEASE_MS_MIN, LEASE_MS_MAX),
    "How long a silent client stays logged in that asks for no lease of its own.",
    _GATEWAY,
    LEASE_MS_DEFAULT,
)
GATEWAY_NAME: Final = Setting(
    "QD_GATEWAY_NAME",
    "gateway.name",
    Text("a name of one line"),
    "Its name among the gateways of its group.",
    _GATEWAY,
    default_words="the host's name",
)
GATEWAY_GROUP: Final = Setting(
    "QD_GATEWAY_GROUP",
    "gateway.group",
    Text("a name of one line"),
    "Gateways of one group share the clients among them.",
    _GATEWAY,
    default_words="what QD_FLUVIO is",
)
GATEWAY_TOKENS: Final = Setting(
    "QD_GATEWAY_TOKENS",
    "gateway.tokens",
    Choice({rule.value: rule for rule in TokenRule}),
    "Whether each client must have a token; one that has a token must always prove it.",
    _GATEWAY,
    TokenRule.OPTIONAL,
)
GATEWAY_VERSION_1: Final = Setting(
    "QD_GATEWAY_VERSION_1",
    "gateway.version_1",
    Choice({rule.value: rule for rule in Version1Rule}),
    "Whether clients of protocol version 1 may log in, which can prove nothing.",
    _GATEWAY,
    default_words="allow where tokens are optional",
)
GATEWAY_METRICS: Final = Setting(
    "QD_GATEWAY_METRICS",
    "gateway.metrics",
    _LISTEN,
    "Where it serves metrics and health over HTTP.",
    _GATEWAY,
    default_words="nowhere",
)
GATEWAY_SESSIONS_MAX: Final = Setting(
    "QD_GATEWAY_SESSIONS_MAX",
    "gateway.sessions_max",
    _LIMIT,
    "Clients logged in at once.",
    _GATEWAY,
    1_000,
)
GATEWAY_STREAMS_MAX: Final = Setting(
    "QD_GATEWAY_STREAMS_MAX",
    "gateway.streams_max",
    _LIMIT,
    "Streams at once, of all clients.",
    _GATEWAY,
    1_000,
)
GATEWAY_STREAMS_PER_CLIENT_MAX: Final = Setting(
    "QD_GATEWAY_STREAMS_PER_CLIENT_MAX",
    "gateway.streams_per_client_max",
    _LIMIT,
    "Streams at once, of one client.",
    _GATEWAY,
    16,
)
GATEWAY_REQUESTS_PER_SECOND_MAX: Final = Setting(
    "QD_GATEWAY_REQUESTS_PER_SECOND_MAX",
    "gateway.requests_per_second_max",
    _LIMIT,
    "Requests of one client in a second.",
    _GATEWAY,
    200,
)

# --- analytics ----------------------------------------------------------------------------

ANALYTICS_CLIENT_ID: Final = Setting(
    "QD_ANALYTICS_CLIENT_ID",
    "analytics.client_id",
    _CLIENT_ID,
    "Its id as the gateway's client.",
    _ANALYTICS,
    ANALYTICS_CLIENT_ID_DEFAULT,
)
ANALYTICS_TOKEN: Final = Setting(
    "QD_ANALYTICS_TOKEN",
    "analytics.token",
    _TOKEN,
    "What proves that the id is its own.",
    _ANALYTICS,
    is_secret=True,
    rival="QD_ANALYTICS_TOKEN_FILE",
)
ANALYTICS_TOKEN_FILE: Final = Setting(
    "QD_ANALYTICS_TOKEN_FILE",
    "analytics.token_file",
    _FILE,
    "A file with the token, instead.",
    _ANALYTICS,
    rival="QD_ANALYTICS_TOKEN",
)
ANALYTICS_METRICS: Final = Setting(
    "QD_ANALYTICS_METRICS",
    "analytics.metrics",
    _LISTEN,
    "Where it serves metrics and health over HTTP.",
    _ANALYTICS,
    default_words="nowhere",
)
EXCHANGE: Final = Setting(
    "QD_EXCHANGE",
    "analytics.exchange",
    Choice(_EXCHANGES),
    "Whose markets it watches.",
    _ANALYTICS,
    ExchangeId.KRAKEN,
)
WATCH: Final = Setting(
    "QD_WATCH",
    "analytics.watch",
    Words("symbols, with commas between them"),
    "The markets that it watches.",
    _ANALYTICS,
    default_words="all",
)
MODELS: Final = Setting(
    "QD_MODELS",
    "analytics.models",
    Text("models with their settings, such as 'monthly-breakout signals=both; volatility days=10'"),
    "The models that watch each market, each with its settings, with semicolons between them.",
    _ANALYTICS,
    "monthly-breakout",
)
CHECKPOINT_SECONDS: Final = Setting(
    "QD_CHECKPOINT_SECONDS",
    "analytics.checkpoint_seconds",
    Seconds(0.05, 3_600.0),
    "How often it saves where a market is, while there are new trades.",
    _ANALYTICS,
    10.0,
)
MARKETS_AT_ONCE: Final = Setting(
    "QD_MARKETS_AT_ONCE",
    "analytics.markets_at_once",
    Whole(1, 64),
    "Markets that it streams at the same time.",
    _ANALYTICS,
    4,
)

# --- the local broker ---------------------------------------------------------------------

BROKER_METRICS: Final = Setting(
    "QD_BROKER_METRICS",
    "broker.metrics",
    _LISTEN,
    "Where it serves metrics and health over HTTP.",
    default_words="nowhere",
)

# --- clients ------------------------------------------------------------------------------

CLIENT_ID: Final = Setting(
    "QD_CLIENT_ID",
    "client.id",
    _CLIENT_ID,
    "The id that commands log in with at the gateway.",
    default_words="one at random",
)
CLIENT_TOKEN: Final = Setting(
    "QD_CLIENT_TOKEN",
    "client.token",
    _TOKEN,
    "What proves that the id is one's own.",
    is_secret=True,
    rival="QD_CLIENT_TOKEN_FILE",
)
CLIENT_TOKEN_FILE: Final = Setting(
    "QD_CLIENT_TOKEN_FILE",
    "client.token_file",
    _FILE,
    "A file with the token, instead.",
    rival="QD_CLIENT_TOKEN",
)

SETTINGS: Final[tuple[Setting[Any], ...]] = tuple(
    value for value in list(globals().values()) if isinstance(value, Setting)
)
"""Every setting, in the order above."""
BY_NAME: Final[Mapping[str, Setting[Any]]] = {each.name: each for each in SETTINGS}
"""Every setting by its name in the environment."""
BY_KEY: Final[Mapping[str, Setting[Any]]] = {each.key: each for each in SETTINGS}
"""Every setting by its name in the file."""

TITLES: Final[Mapping[str, str]] = {
    "log": "Log lines of all services",
    "fluvio": "The Fluvio cluster",
    "database": "The market database",
    "symdb": "The symbol master",
    "gateway": "The gateway",
    "analytics": "The analytics service",
    "broker": "The local broker, however it is started",
    "client": "Commands that are the gateway's clients",
}
"""What each table of the file is about."""

CONFIG_NAME: Final = "QD_CONFIG"
"""The variable that names the file."""
OTHER_NAMES: Final[Mapping[str, str]] = {
    CONFIG_NAME: "The TOML file with settings; the environment goes before it.",
    "QD_STATE": "To commands: the state folder of the stack.",
    "QD_DEPLOYMENT": "To commands: the deployment on Kubernetes that they use, CONTEXT/NAMESPACE, "
    "or `remembered` (the one that `qd deploy` made last) or `none`.",
    "QD_DEBUG": "To commands: 1 shows the traceback of an error.",
    "QD_COMPLETION_SECONDS": "To commands: how long a completion in the shell may take.",
    "QD_OWNER_PASSWORD": "To `qd db roles`, as the next three, each also with _FILE.",
    "QD_IMPORTER_PASSWORD": "The importer's password.",
    "QD_GATEWAY_PASSWORD": "The gateway's password.",
    "QD_SYMDB_PASSWORD": "The symbol master's password.",
    "QD_READY_FILE": "To services: written once the service can be used.",
    "QD_DIE_WITH_PARENT": "To services: the process whose end ends them.",
    "QD_STACK": "In each process of a stack: the stack's folder.",
    "QD_PART": "In each process of a stack: which part it belongs to.",
}
"""Variables that are no settings."""


def of_service(service: ServiceId) -> tuple[Setting[Any], ...]:
    """The settings that a service gets."""
    return tuple(each for each in SETTINGS if service in each.services)
