"""The TOML file with settings: its tables and keys, and where in the file each is.

Which values are right is said where they are used (`given`); here only names and types are
checked, so that one file can serve all parts.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from qd_schemas.errors import SettingError
from qd_schemas.settings.setting import Setting
from qd_schemas.settings.table import BY_KEY, SETTINGS, TITLES

FILE_BYTES_MAX: Final = 65_536
NEAR: Final = 0.6
_HEADER: Final = re.compile(r"""\s*\[\s*["']?([\w-]+)["']?\s*\]""")
_KEY: Final = re.compile(r"""\s*([\w."'-]+(?:\s*\.\s*[\w"'-]+)?)\s*=""")
_TYPES: Final[Mapping[type, str]] = {
    str: "a text",
    int: "a number",
    float: "a number",
    bool: "true or false",
    list: "a list",
    dict: "a table",
}


@dataclass(frozen=True, slots=True)
class ConfigFile:
    """A file that was read.

    Attributes
    ----------
    path : str
        As it was named.
    texts : mapping of str to str
        The text of each setting that it has, as it would be in the environment, by the
        setting's name there.
    lines : mapping of str to int
        The line of each table and each key, as far as it has one of its own.
    """

    path: str
    texts: Mapping[str, str]
    lines: Mapping[str, int]

    def place(self, key: str) -> str:
        """Where a table or key is: ``gateway.lease_ms (qd.toml, line 3)``."""
        line = self.lines.get(key) or self.lines.get(key.partition(".")[0])
        return f"{key} ({self.path}{f', line {line}' if line else ''})"


def read_config(path: str) -> ConfigFile:
    """Read a file.

    Raises
    ------
    SettingError
        It cannot be read, is no TOML, has a name that is no setting's, or a value of another
        type. The message names the line.
    """
    text = _text(path)
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SettingError(f"{path} is no TOML: {error}") from None
    texts: dict[str, str] = {}
    file = ConfigFile(path, texts, _lines(text))
    for table, keys in tables.items():
        if table not in TITLES:
            raise SettingError(
                f"{file.place(table)} is no table of settings; {_nearest(table, TITLES)}"
            )
        if not isinstance(keys, dict):
            raise SettingError(f"{file.place(table)} is {_type(keys)}; expected [{table}]")
        for leaf, value in keys.items():
            setting = _setting(file, f"{table}.{leaf}")
            texts[setting.name] = _as_text(setting, value, file.place(setting.key))
    return file


def _setting(file: ConfigFile, key: str) -> Setting[Any]:
    if key not in BY_KEY:
        table, _, leaf = key.partition(".")
        known = [setting.leaf for setting in SETTINGS if setting.table == table]
        raise SettingError(f"{file.place(key)} is no setting; {_nearest(leaf, known)}")
    return BY_KEY[key]


def nearest(name: str, known: Iterable[str], likeness_min: float = NEAR) -> str:
    """The known name that a wrong one is likest to; empty where none is so like it."""
    return next(iter(difflib.get_close_matches(name, list(known), 1, likeness_min)), "")


def _nearest(name: str, known: Iterable[str]) -> str:
    known = list(known)
    found = nearest(name, known)
    return f"did you mean {found}?" if found else f"expected one of {', '.join(known)}"


def _text(path: str) -> str:
    try:
        with Path(path).open("rb") as file:
            found = file.read(FILE_BYTES_MAX + 1)
        if len(found) > FILE_BYTES_MAX:
            raise SettingError(
                f"the settings' file {path} has more than {FILE_BYTES_MAX} bytes; expected TOML"
            )
        return found.decode()
    except OSError as error:
        raise SettingError(
            f"the settings' file {path} cannot be read ({error.strerror}); "
            "expected a TOML file, as `qd config example` prints one"
        ) from None
    except UnicodeDecodeError:
        raise SettingError(f"the settings' file {path} is not UTF-8: save it so") from None


def _as_text(setting: Setting[Any], value: object, place: str) -> str:
    """A value as it would be in the environment."""
    allowed = setting.kind.toml
    if type(value) not in allowed:
        # The value is not repeated: it may be a secret of a type that nobody expects.
        raise SettingError(
            f"{place} is {_type(value)}; expected {setting.kind.expected}, "
            f"as {' or '.join(dict.fromkeys(_TYPES[kind] for kind in allowed))}"
        )
    if not isinstance(value, list):
        return str(value)
    if not all(isinstance(word, str) and "," not in word for word in value):
        raise SettingError(
            f"{place} is a list with other things than words; expected {setting.kind.expected}"
        )
    return ",".join(value)


def _type(value: object) -> str:
    return _TYPES.get(type(value), "a date or time")


def _lines(text: str) -> dict[str, int]:
    """The lines of tables and keys, as they are commonly written; for errors only."""
    found: dict[str, int] = {}
    table = ""
    for number, line in enumerate(text.splitlines(), 1):
        if header := _HEADER.match(line):
            table = header[1]
            found.setdefault(table, number)
        elif key := _KEY.match(line):
            name = re.sub(r"[\s\"']", "", key[1])
            found.setdefault(f"{table}.{name}" if table else name, number)
    return found
