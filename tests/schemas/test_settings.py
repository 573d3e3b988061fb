"""The table of settings: sound in itself, and what everything else is derived from."""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qd_schemas.enums import ServiceId
from qd_schemas.errors import SettingError
from qd_schemas.settings.document import (
    as_markdown,
    as_toml,
    default_text,
    example,
    literal,
)
from qd_schemas.settings.given import Given
from qd_schemas.settings.setting import Setting
from qd_schemas.settings.table import BY_NAME, OTHER_NAMES, SETTINGS, TITLES, of_service
from qd_schemas.specs import SERVICES, ClientSettings, LogSettings

ROOT = Path(__file__).resolve().parents[2]
ids = [setting.name for setting in SETTINGS]


class Asked(Given):
    """Remembers which settings were asked for."""

    def __init__(self, env: dict[str, str]) -> None:
        super().__init__(env)
        self.names: set[str] = set()

    def text(self, setting: Setting[Any]) -> str:
        self.names.add(setting.name)
        return super().text(setting)


@pytest.mark.parametrize("setting", SETTINGS, ids=ids)
def test_each_is_sound(setting: Setting[Any]) -> None:
    assert re.fullmatch(r"QD_[A-Z0-9_]+", setting.name)
    assert re.fullmatch(r"[a-z]+\.[a-z0-9_]+", setting.key)
    assert setting.table in TITLES
    assert setting.help.endswith(".")
    assert setting.default is None or not setting.default_words
    assert not setting.is_secret or setting.default is None
    text = default_text(setting) or example(setting)
    assert setting.kind.parse(text) == setting.default or setting.default is None
    if setting.rival:
        assert BY_NAME[setting.rival].rival == setting.name


def test_names_are_used_once() -> None:
    names = [*ids, *(setting.key for setting in SETTINGS), *OTHER_NAMES]
    assert [name for name, count in Counter(names).items() if count > 1] == []


@pytest.mark.parametrize("service", list(ServiceId))
def test_a_service_reads_what_it_declares_and_nothing_else(service: ServiceId) -> None:
    spec = SERVICES[service]
    env = {name: example(BY_NAME[name]) for name in spec.required}
    asked = Asked(env)
    spec.reader.read(asked)
    LogSettings.read(asked)
    assert asked.names == {setting.name for setting in spec.settings}
    for missing in env:
        with pytest.raises(SettingError, match=f"^{missing} is not set; expected "):
            spec.reader.read(Given({name: env[name] for name in env if name != missing}))


def test_no_service_gets_a_secret_of_another() -> None:
    secrets = {setting.name for setting in SETTINGS if setting.is_secret}
    assert secrets == {"QD_DATABASE", "QD_ANALYTICS_TOKEN", "QD_CLIENT_TOKEN"}
    got = {
        service: secrets & {setting.name for setting in of_service(service)}
        for service in ServiceId
    }
    assert got == {
        ServiceId.QDGW: {"QD_DATABASE"},
        ServiceId.SYMDB: {"QD_DATABASE"},
        ServiceId.ANALYTICS: {"QD_ANALYTICS_TOKEN"},
    }


@given(st.sampled_from(SETTINGS), st.text(max_size=200))
def test_any_text_is_a_value_or_an_error_that_names_the_setting(
    setting: Setting[Any], text: str
) -> None:
    error = ""
    try:
        Given({setting.name: text}).find(setting)
    except SettingError as caught:
        error = str(caught)
    if error:
        assert error.startswith(f"{setting.name} ")
        assert f"; expected {setting.kind.expected}" in error
        assert len(error) < 700
        assert not (setting.is_secret and len(text) > 30 and text in error)


def test_client_settings() -> None:
    assert ClientSettings.from_env({}) == ClientSettings()
    found = ClientSettings.from_env({"QD_CLIENT_ID": "21", "QD_CLIENT_TOKEN": "sesame"})
    assert (found.client_id, found.token.secret()) == (21, "sesame")
    assert "sesame" not in repr(found)
    with pytest.raises(SettingError, match="QD_CLIENT_TOKEN is set but QD_CLIENT_ID is not"):
        ClientSettings.from_env({"QD_CLIENT_TOKEN": "sesame"})
    both = {"QD_CLIENT_ID": "21", "QD_CLIENT_TOKEN": "a", "QD_CLIENT_TOKEN_FILE": "b"}
    with pytest.raises(SettingError, match="QD_CLIENT_TOKEN and QD_CLIENT_TOKEN_FILE are both set"):
        ClientSettings.from_env(both)
    with pytest.raises(SettingError, match="QD_CLIENT_TOKEN has 10 characters") as caught:
        ClientSettings.from_env({"QD_CLIENT_ID": "21", "QD_CLIENT_TOKEN": "one secret"})
    assert "one secret" not in str(caught.value)


def test_a_token_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("sesame\n")
    env = {"QD_CLIENT_ID": "21", "QD_CLIENT_TOKEN_FILE": str(file)}
    assert ClientSettings.from_env(env).token.secret() == "sesame"
    file.write_text("sesame\nopen")
    with pytest.raises(SettingError, match="2 lines in 11 bytes: expected one line"):
        ClientSettings.from_env(env).token.secret()


def test_the_example_is_right_with_any_line_uncommented() -> None:
    text = as_toml()
    assert tomllib.loads(text) == {table: {} for table in TITLES}
    for setting in SETTINGS:
        line = f"#{setting.leaf} = {literal(setting, default_text(setting) or example(setting))}\n"
        assert line in text
    everything = re.sub(r"^#(?=[a-z])", "", text, flags=re.M)
    assert {table: len(keys) for table, keys in tomllib.loads(everything).items()} == Counter(
        setting.table for setting in SETTINGS
    )


def test_the_document_is_made_of_the_table() -> None:
    """`python -m qd_schemas.settings.document > docs/settings.md` makes it anew."""
    assert (ROOT / "docs" / "settings.md").read_text() == as_markdown()
