"""The settings' file: what it gives, what goes before it, and what each error points at."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from qd_schemas.enums import ExchangeId
from qd_schemas.errors import SettingError
from qd_schemas.settings.document import as_toml
from qd_schemas.settings.file import FILE_BYTES_MAX, read_config
from qd_schemas.specs import (
    SERVICES,
    AnalyticsSettings,
    DatabaseSettings,
    GatewaySettings,
    TokenRule,
    Version1Rule,
)

WHOLE = """
[log]
level = "debug"

[fluvio]
endpoint = "sc:9003"   # the cluster

[database]
dsn = "postgresql://user:sesame@db/qd"

[symdb]
endpoint = "127.0.0.1:7000"

[gateway]
lease_ms = 500
tokens = "required"
name = "one"

[analytics]
watch = ["XBTCAD", "XBTSEK"]
checkpoint_seconds = 0.5
exchange = "binance"
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "qd.toml"
    path.write_text(WHOLE)
    return path


def test_one_file_serves_all_services(file: Path) -> None:
    env = {"QD_CONFIG": str(file)}
    gateway = GatewaySettings.from_env(env)
    assert (gateway.fluvio.endpoint, gateway.lease_ms, gateway.name) == ("sc:9003", 500, "one")
    assert (gateway.tokens, gateway.version_1) == (TokenRule.REQUIRED, Version1Rule.REFUSE)
    assert gateway.group == "sc:9003"
    analytics = AnalyticsSettings.from_env(env)
    assert analytics.watch == ("XBTCAD", "XBTSEK")
    assert (analytics.checkpoint_seconds, analytics.exchange) == (0.5, ExchangeId.BINANCE)


def test_the_environment_goes_before_the_file(file: Path) -> None:
    env = {"QD_CONFIG": str(file), "QD_LEASE_MS": "900", "QD_GATEWAY_VERSION_1": "allow"}
    found = GatewaySettings.from_env(env)
    assert (found.lease_ms, found.name, found.version_1) == (900, "one", Version1Rule.ALLOW)


def test_another_way_to_say_the_same_goes_before_the_file_too(file: Path) -> None:
    env = {"QD_CONFIG": str(file), "QD_DATABASE_FILE": "/run/secrets/dsn"}
    assert DatabaseSettings.from_env(env) == DatabaseSettings(file="/run/secrets/dsn")


def test_two_ways_in_the_file(file: Path) -> None:
    file.write_text(WHOLE.replace("[symdb]", 'dsn_file = "f"\n[symdb]'))
    expected = f"database.dsn ({file}, line 9) and database.dsn_file ({file}, line 11) are both set"
    with pytest.raises(SettingError, match=re.escape(expected)):
        DatabaseSettings.from_env({"QD_CONFIG": str(file)})


def test_what_is_nowhere_set(file: Path) -> None:
    file.write_text("")
    with pytest.raises(SettingError) as caught:
        GatewaySettings.from_env({"QD_CONFIG": str(file)})
    assert str(caught.value).startswith(
        f"QD_FLUVIO is not set (nor fluvio.endpoint in {file}); expected host:port"
    )


def read_by_all(env: dict[str, str]) -> None:
    for spec in SERVICES.values():
        spec.reader.from_env(env)


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        ("500", "5", "gateway.lease_ms (FILE, line 15) is '5'; expected a whole number from 300"),
        ("500", '"500"', "gateway.lease_ms (FILE, line 15) is a text; expected a whole number"),
        ("500", "true", "gateway.lease_ms (FILE, line 15) is true or false; expected a whole"),
        ("500", "{}", "gateway.lease_ms (FILE, line 15) is a table"),
        ("500", "2024-01-01", "gateway.lease_ms (FILE, line 15) is a date or time"),
        (
            "lease_ms",
            "lease_s",
            "gateway.lease_s (FILE, line 15) is no setting; did you mean leas",
        ),
        ("lease_ms", "x", "gateway.x (FILE, line 15) is no setting; expected one of lease_ms, n"),
        ("[gateway]", "[gatway]", "gatway (FILE, line 14) is no table of settings; did you mean g"),
        ("[log]", "log = 1\n[log]", "FILE is no TOML: "),
        ("[log]\n", "log = 1\n#", "log (FILE, line 2) is a number; expected [log]"),
        ('["XBTCAD"', "[5", "analytics.watch (FILE, line 20) is a list with other things than"),
        ('"postgresql://user', '"mysql://user', "database.dsn (FILE, line 9) begins with 'mysql'"),
        ('"required"', '"no"', "gateway.tokens (FILE, line 16) is 'no'; expected optional or req"),
        ('level = "debug"', 'level = "debug', "FILE is no TOML: "),
    ],
)
def test_errors_point_at_the_line(file: Path, old: str, new: str, text: str) -> None:
    file.write_text(WHOLE.replace(old, new, 1))
    with pytest.raises(SettingError) as caught:
        read_by_all({"QD_CONFIG": str(file)})
    assert text.replace("FILE", str(file)) in str(caught.value)
    assert "sesame" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "gateway.lease_ms = 5",
        "gateway = {lease_ms = 5}",
        '["gateway"]\n"lease_ms" = 5',
        "[ gateway ]\n\n  lease_ms\t=5",
    ],
)
def test_other_ways_to_write_it(file: Path, text: str) -> None:
    file.write_text(f"\n\n{text}\n")
    line = 3 + text.count("\n")
    env = {"QD_CONFIG": str(file), "QD_FLUVIO": "h:1", "QD_DATABASE": "postgresql://h/d"}
    with pytest.raises(SettingError, match=re.escape(f"gateway.lease_ms ({file}, line {line})")):
        GatewaySettings.from_env(env)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="cannot be read \\(No such file or directory\\)"):
        read_config(str(tmp_path / "none.toml"))
    with pytest.raises(SettingError, match="cannot be read \\(Is a directory\\)"):
        read_config(str(tmp_path))
    large = tmp_path / "large.toml"
    large.write_bytes(b"#" * (FILE_BYTES_MAX + 1))
    with pytest.raises(SettingError, match="has more than 65536 bytes"):
        read_config(str(large))
    large.write_bytes(b"\xff")
    with pytest.raises(SettingError, match="is not UTF-8"):
        read_config(str(large))


def test_the_example_is_a_file_that_sets_nothing(tmp_path: Path) -> None:
    path = tmp_path / "example.toml"
    path.write_text(as_toml())
    assert read_config(str(path)).texts == {}
