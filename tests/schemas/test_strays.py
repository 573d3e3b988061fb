"""Which variables are taken for misspelt settings."""

from __future__ import annotations

import pytest

from qd_schemas.settings.strays import strays
from qd_schemas.settings.table import BY_NAME, OTHER_NAMES


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("QD_GATEWAY_TOKNES", "QD_GATEWAY_TOKENS"),
        ("QD_GATEWAY_TOKEN", "QD_GATEWAY_TOKENS"),
        ("QD_DATABASE_URL", "QD_DATABASE"),
        ("QD_DATABASE_DSN", "QD_DATABASE"),  # as the file's key, database.dsn
        ("QD_FLUVIO_ENDPOINT", "QD_FLUVIO"),
        ("QD_GATEWAY_LEASE_MS", "QD_LEASE_MS"),
        ("QD_LOGLEVEL", "QD_LOG_LEVEL"),
        ("QD_CONFG", "QD_CONFIG"),
    ],
)
def test_misspelt(name: str, meant: str) -> None:
    (text,) = strays({name: "sesame", "PATH": "/bin"})
    assert text == f"{name} is set, but no setting has this name; did you mean {meant}?"


@pytest.mark.parametrize(
    "name",
    [
        *("QD_SYMDB_PORT", "QD_SYMDB_SERVICE_HOST", "QD_GATEWAY_SERVICE_PORT_METRICS"),
        *("QD_BROKER_PORT_9003_TCP_ADDR", "QD_OWNER_PASSWORD_FILE", "SQD_DATABASE"),
        *BY_NAME,
        *OTHER_NAMES,
    ],
)
def test_right_or_somebody_elses(name: str) -> None:
    assert strays({name: "x"}) == strays({name: "x"}, 0.0) == []


def test_what_is_like_no_setting_is_told_where_all_is() -> None:
    assert strays({"QD_HOME": "x"}) == []
    assert strays({"QD_ZZZZZZZZ": "x"}, 0.0) == ["QD_ZZZZZZZZ is set, but no setting has this name"]
