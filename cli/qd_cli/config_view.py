"""What is set, where it comes from, and what is wrong with it. It prints nothing secret."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from qd_cli.errors import RequestRefused
from qd_schemas.errors import SettingError
from qd_schemas.settings.document import default_text
from qd_schemas.settings.file import ConfigFile, read_config
from qd_schemas.settings.given import Given
from qd_schemas.settings.setting import Setting
from qd_schemas.settings.strays import strays
from qd_schemas.settings.table import BY_NAME, CONFIG_NAME, SETTINGS
from qd_schemas.specs import SERVICES, ClientSettings, ServiceSpec

HIDDEN: Final = "(hidden)"
DEFAULT: Final = "default"
_READABLE_BY_OTHERS: Final = 0o044


@dataclass(frozen=True, slots=True)
class Shown:
    """One setting as it is shown.

    Attributes
    ----------
    value : str or None
        Its text, or that of its default; None where it has neither.
    source : str
        Its variable; its key, file and line; ``default``; or what holds where it is not set.
    error : str or None
        What is wrong with it.
    """

    name: str
    key: str
    value: str | None
    source: str
    is_secret: bool
    error: str | None

    def as_json(self) -> dict[str, object]:
        """Return it as a JSON object."""
        return {
            "setting": self.name,
            "key": self.key,
            "value": self.value,
            "from": self.source,
            "secret": self.is_secret,
            "error": self.error,
        }


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a service could start: what is not set that must be, and what makes no sense."""

    service: str
    lacks: tuple[str, ...]
    errors: tuple[str, ...]

    @property
    def state(self) -> str:
        """The verdict in a few words."""
        if self.errors:
            return "wrong"
        return f"lacks {', '.join(self.lacks)}" if self.lacks else "complete"


def spec_of(name: str) -> ServiceSpec:
    """The service of this name."""
    known = {spec.name: spec for spec in SERVICES.values()}
    if name not in known:
        raise RequestRefused(f"no service is named {name!r}: expected one of {', '.join(known)}")
    return known[name]


def config_file(env: Mapping[str, str], path: Path | None = None) -> ConfigFile | None:
    """The file of this path, or the one that QD_CONFIG names."""
    chosen = str(path) if path else env.get(CONFIG_NAME, "").strip()
    return read_config(chosen) if chosen else None


def shown(given: Given, settings: Iterable[Setting[Any]]) -> list[Shown]:
    """Settings with their values, secrets hidden."""
    return [_shown(given, setting) for setting in settings]


def _shown(given: Given, setting: Setting[Any]) -> Shown:
    text, default = given.text(setting), default_text(setting)
    source = given.origin(setting) if text else DEFAULT
    value = HIDDEN if text and setting.is_secret else text or default or None
    if value is None and setting.default_words:
        source = f"{DEFAULT}: {setting.default_words}"
    elif value is None:
        source = "not set"
    error = error_of(given, setting)
    return Shown(setting.name, setting.key, value, source, setting.is_secret, error)


def error_of(given: Given, setting: Setting[Any]) -> str | None:
    """What is wrong with a setting."""
    try:
        given.find(setting)
    except SettingError as error:
        return str(error)
    return None


def errors_of(given: Given) -> list[str]:
    """What is wrong with any setting by itself, and with those of clients together."""
    found = [error for setting in SETTINGS if (error := error_of(given, setting))]
    try:
        ClientSettings.read(given)
    except SettingError as error:
        found.append(str(error))
    return list(dict.fromkeys(found))


def verdict_of(given: Given, spec: ServiceSpec) -> Verdict:
    """Whether a service could start with what is set."""
    lacks = tuple(
        setting.name
        for setting in spec.settings
        if setting.is_required
        and not given.text(setting)
        and not (setting.rival and given.text(BY_NAME[setting.rival]))
    )
    errors = [error for setting in spec.settings if (error := error_of(given, setting))]
    if not lacks and not errors:
        try:
            spec.reader.read(given)
        except SettingError as error:
            errors.append(str(error))
    return Verdict(spec.name, lacks, tuple(errors))


def warnings_of(env: Mapping[str, str], file: ConfigFile | None) -> list[str]:
    """Variables that look like settings and are none, and secrets that others can read."""
    found = strays(env, 0.0)
    secret = file and next((name for name in file.texts if BY_NAME[name].is_secret), None)
    if file and secret and os.stat(file.path).st_mode & _READABLE_BY_OTHERS:
        found.append(
            f"{file.path} holds {BY_NAME[secret].key}, a secret, and others can read it: "
            f"`chmod 600 {file.path}`"
        )
    return found
