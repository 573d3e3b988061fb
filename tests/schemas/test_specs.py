"""Settings: what is read, and what each error names."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Callable, Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qd_schemas.enums import ExchangeId, ServiceId
from qd_schemas.errors import SettingError
from qd_schemas.specs import (
    SERVICES,
    SYMDB_TLS_NAMES,
    Address,
    AnalyticsSettings,
    ClientKind,
    DatabaseSettings,
    FluvioSettings,
    GatewaySettings,
    ServerTlsSettings,
    SymdbServiceSettings,
    SymdbSettings,
    TlsSettings,
)

DSN = "postgresql://user:secret@db/qd"
ALL = {"QD_FLUVIO": "sc:9003", "QD_DATABASE": DSN, "QD_SYMDB": "127.0.0.1:7000"}
Settings = Callable[[Mapping[str, str]], object]


def test_the_shortest_settings() -> None:
    assert FluvioSettings.from_env(ALL) == FluvioSettings("sc:9003")
    assert DatabaseSettings.from_env(ALL) == DatabaseSettings(DSN)
    assert DatabaseSettings.from_env({"QD_DATABASE_FILE": "f"}) == DatabaseSettings(file="f")
    assert DSN not in repr(DatabaseSettings(DSN))
    assert SymdbSettings.from_env(ALL) == SymdbSettings("127.0.0.1", 7000)
    gateway = GatewaySettings.from_env(ALL)
    assert (gateway.fluvio.endpoint, gateway.database.dsn, gateway.lease_ms) == (
        "sc:9003",
        DSN,
        6000,
    )
    analytics = AnalyticsSettings.from_env(ALL)
    assert analytics.watch == ()
    assert analytics.watches("anything")
    assert analytics.exchange is ExchangeId.KRAKEN
    assert analytics.client_id > 20


def test_all_settings() -> None:
    given = ALL | {
        "QD_LEASE_MS": "500",
        "QD_WATCH": " XBTCAD, XBTSEK,,",
        "QD_EXCHANGE": "Kraken",
        "QD_CHECKPOINT_SECONDS": "0.5",
        "QD_MARKETS_AT_ONCE": "2",
        "QD_ANALYTICS_CLIENT_ID": "99",
    }
    assert GatewaySettings.from_env(given).lease_ms == 500
    analytics = AnalyticsSettings.from_env(given)
    assert analytics.watch == ("XBTCAD", "XBTSEK")
    assert not analytics.watches("XBTEUR")
    assert (analytics.checkpoint_seconds, analytics.markets_at_once, analytics.client_id) == (
        0.5,
        2,
        99,
    )


def test_how_to_speak_to_fluvio() -> None:
    given = ALL | {"QD_FLUVIO_CLIENT": "native", "QD_FLUVIO_TLS_CA": "ca.pem"}
    assert FluvioSettings.from_env(given) == FluvioSettings(
        "sc:9003", ClientKind.NATIVE, TlsSettings("ca.pem")
    )
    mutual = {
        "QD_FLUVIO_TLS_CERT": "me.pem",
        "QD_FLUVIO_TLS_KEY": "me.key",
        "QD_FLUVIO_TLS_DOMAIN": "fluvio.local",
    }
    assert FluvioSettings.from_env(given | mutual).tls == TlsSettings(
        "ca.pem", "fluvio.local", "me.pem", "me.key"
    )
    assert GatewaySettings.from_env(given).fluvio.client is ClientKind.NATIVE


def test_ipv6() -> None:
    found = SymdbSettings.from_env({"QD_SYMDB": "[::1]:0"})
    assert found == SymdbSettings("::1", 0)
    assert found.endpoint == "[::1]:0"
    assert FluvioSettings.from_env({"QD_FLUVIO": "[::1]:9003"}).endpoint == "[::1]:9003"


ERRORS: list[tuple[Settings, dict[str, str], str]] = [
    (FluvioSettings.from_env, {}, "QD_FLUVIO is not set; expected host:port"),
    (FluvioSettings.from_env, {"QD_FLUVIO": "sc"}, "QD_FLUVIO is 'sc'; expected host:port"),
    (FluvioSettings.from_env, {"QD_FLUVIO": "sc:0"}, "from 1 to 65535"),
    (FluvioSettings.from_env, {"QD_FLUVIO": "sc:70000"}, "QD_FLUVIO is 'sc:70000'"),
    (FluvioSettings.from_env, {"QD_FLUVIO": "a:b:1"}, "QD_FLUVIO is 'a:b:1'"),
    (GatewaySettings.from_env, {"QD_FLUVIO_CLIENT": "rust"}, "expected official or native"),
    (
        GatewaySettings.from_env,
        {"QD_FLUVIO_TLS_KEY": "k"},
        "QD_FLUVIO_TLS_KEY is set but QD_FLUVIO",
    ),
    (
        GatewaySettings.from_env,
        {"QD_FLUVIO_TLS_CA": "c", "QD_FLUVIO_TLS_CERT": "m"},
        "QD_FLUVIO_TLS_CERT is set but QD_FLUVIO_TLS_KEY is not",
    ),
    (
        GatewaySettings.from_env,
        {"QD_FLUVIO_TLS_CA": "c", "QD_FLUVIO_TLS_KEY": "k"},
        "QD_FLUVIO_TLS_KEY is set but QD_FLUVIO_TLS_CERT is not",
    ),
    (DatabaseSettings.from_env, {"QD_DATABASE": " "}, "QD_DATABASE is not set"),
    (DatabaseSettings.from_env, {"QD_DATABASE": "mysql://u:secret@h"}, "begins with 'mysql'"),
    (DatabaseSettings.from_env, {"QD_DATABASE": "secret"}, "QD_DATABASE holds no DSN"),
    (
        DatabaseSettings.from_env,
        {"QD_DATABASE": "postgresql://u:secret@h", "QD_DATABASE_FILE": "f"},
        "QD_DATABASE and QD_DATABASE_FILE are both set",
    ),
    (SymdbSettings.from_env, {}, "QD_SYMDB is not set"),
    (SymdbSettings.from_env, {"QD_SYMDB": "h:x"}, "with a port from 0"),
    (GatewaySettings.from_env, {"QD_LEASE_MS": "soon"}, "QD_LEASE_MS is 'soon'; expected a whole"),
    (GatewaySettings.from_env, {"QD_LEASE_MS": "1"}, "from 300 to 3600000"),
    (GatewaySettings.from_env, {"QD_LEASE_MS": "9" * 5000}, "expected a whole number"),
    (
        AnalyticsSettings.from_env,
        {"QD_EXCHANGE": "nyse"},
        "'nyse'; expected kraken or",
    ),
    (
        AnalyticsSettings.from_env,
        {"QD_CHECKPOINT_SECONDS": "nan"},
        "QD_CHECKPOINT_SECONDS is 'nan'",
    ),
    (
        AnalyticsSettings.from_env,
        {"QD_CHECKPOINT_SECONDS": "x"},
        "expected seconds from 0.05 to 3600",
    ),
    (AnalyticsSettings.from_env, {"QD_ANALYTICS_CLIENT_ID": "3"}, "from 21 to 65534"),
]


@pytest.mark.parametrize(("settings", "given", "text"), ERRORS)
def test_errors(settings: Settings, given: dict[str, str], text: str) -> None:
    alone = (FluvioSettings.from_env, DatabaseSettings.from_env, SymdbSettings.from_env)
    env = given if settings in alone else ALL | given
    with pytest.raises(SettingError, match=re.escape(text)) as caught:
        settings(env)
    assert "secret" not in str(caught.value), "a DSN may hold a password"


@given(st.sampled_from([*ALL, "QD_LEASE_MS", "QD_CHECKPOINT_SECONDS", "QD_EXCHANGE"]), st.text())
def test_any_value_is_read_or_named_in_the_error(name: str, value: str) -> None:
    env = ALL | {name: value}
    for settings in (GatewaySettings.from_env, AnalyticsSettings.from_env):
        try:
            settings(env)
        except SettingError as error:
            named = name in str(error)
        else:
            named = True
        assert named


def test_services() -> None:
    assert list(SERVICES) == list(ServiceId)
    for service_id, spec in SERVICES.items():
        assert spec.service_id is service_id
        assert importlib.util.find_spec(spec.module) is not None
        assert set(spec.required) <= set(ALL)


SYMDB = {"QD_SYMDB": "127.0.0.1:0", "QD_DATABASE": "postgresql://h/d"}


def test_symdb_has_limits_and_neither_tls_nor_metrics_by_default() -> None:
    found = SymdbServiceSettings.from_env(SYMDB)
    assert found == SymdbServiceSettings(
        SymdbSettings("127.0.0.1", 0), DatabaseSettings("postgresql://h/d")
    )
    assert (found.tls, found.metrics) == (None, None)
    assert (found.connections_max, found.calls_max, found.watches_max) == (1_000, 1_000, 1_000)


def test_symdb_with_all_settings() -> None:
    found = SymdbServiceSettings.from_env(
        SYMDB
        | {
            "QD_SYMDB_TLS_CERT": "c",
            "QD_SYMDB_TLS_KEY": "k",
            "QD_SYMDB_TLS_CLIENT_CA": "a",
            "QD_SYMDB_METRICS": "[::1]:9100",
            "QD_SYMDB_CONNECTIONS_MAX": "1",
            "QD_SYMDB_CALLS_MAX": "2",
            "QD_SYMDB_WATCHES_MAX": "3",
        }
    )
    assert found.tls == ServerTlsSettings("c", "k", "a")
    assert found.metrics == Address("::1", 9100)
    assert (found.connections_max, found.calls_max, found.watches_max) == (1, 2, 3)


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("QD_SYMDB_METRICS", "here", "QD_SYMDB_METRICS is 'here'; expected host:port"),
        ("QD_SYMDB_CALLS_MAX", "0", "QD_SYMDB_CALLS_MAX is '0'; expected a whole number from 1"),
        ("QD_SYMDB_TLS_CERT", "c", "QD_SYMDB_TLS_KEY is not set"),
        ("QD_SYMDB_TLS_CLIENT_CA", "a", "QD_SYMDB_TLS_CERT is not set"),
    ],
)
def test_symdb_settings_that_make_no_sense(name: str, value: str, text: str) -> None:
    with pytest.raises(SettingError, match=re.escape(text)):
        SymdbServiceSettings.from_env(SYMDB | {name: value})


@pytest.mark.parametrize(
    ("env", "text"),
    [
        ({"QD_SYMDB_TLS_DOMAIN": "d"}, "QD_SYMDB_TLS_DOMAIN is set but QD_SYMDB_TLS_CA is not"),
        (
            {"QD_SYMDB_TLS_CA": "a", "QD_SYMDB_TLS_CLIENT_KEY": "k"},
            "QD_SYMDB_TLS_CLIENT_KEY is set but QD_SYMDB_TLS_CLIENT_CERT is not",
        ),
    ],
)
def test_tls_towards_symdb(env: dict[str, str], text: str) -> None:
    with pytest.raises(SettingError, match=text):
        TlsSettings.from_env(env, SYMDB_TLS_NAMES)
    assert TlsSettings.from_env({"QD_FLUVIO_TLS_CA": "a"}, SYMDB_TLS_NAMES) is None
