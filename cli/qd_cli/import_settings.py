"""What is imported and how: from the options of ``qd import``, and from a TOML file.

::

    paths = ["Kraken_Trading_History.zip", "updates"]   # and URIs: "s3://bucket/folder/"
    exchange = "kraken"
    parallel = 2            # markets side by side
    strict = false          # true: one bad line refuses its whole file
    rejects = "rejects"     # where refused lines go
    scratch = "/var/tmp"    # where rows out of order are sorted

Every key may be left out, and an option goes before the file's key of its name. Relative
paths are relative to the file. Only text is read here; no file of trades is looked at.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from qd_cli.toml_files import read_toml

PARALLEL_MAX = 16


@dataclass(frozen=True, slots=True)
class ImportSettings:
    """What is imported and how; None and no paths mean that nothing was said.

    Attributes
    ----------
    paths : tuple of Path or str
        Files, folders and zips; strings are URIs.
    exchange : str or None
        The exchange's name.
    parallel : int or None
        How many markets side by side, 1 to `PARALLEL_MAX`.
    strict : bool or None
        Whether one bad line refuses its whole file.
    rejects, scratch : Path or None
        Where refused lines go, and where rows out of order are sorted.
    """

    paths: tuple[Path | str, ...] = ()
    exchange: str | None = None
    parallel: int | None = None
    strict: bool | None = None
    rejects: Path | None = None
    scratch: Path | None = None

    def or_else(self, others: ImportSettings) -> ImportSettings:
        """Take from others what these do not say."""
        said = {
            field.name: getattr(self, field.name)
            for field in fields(self)
            if getattr(self, field.name) not in (None, ())
        }
        return replace(others, **said)


def read_import_settings(path: Path) -> ImportSettings:
    """Read a file of settings.

    Raises
    ------
    FileBroken
        The message names the file, and the line or the key.
    """

    def parse(text: str) -> ImportSettings:
        return parse_import_settings(text, path.parent)

    return read_toml(path, parse, "settings of an import")


def parse_import_settings(text: str, folder: Path) -> ImportSettings:
    """Read a file's text; ValueError names the key.

    Parameters
    ----------
    text : str
        TOML.
    folder : Path
        What relative paths are relative to.
    """
    values: dict[str, Any] = {}
    for key, value in tomllib.loads(text).items():
        if key not in _READERS:
            raise ValueError(f"{key} is not known; expected {', '.join(_READERS)}")
        try:
            values[key] = _READERS[key](value, folder)
        except ValueError as error:
            raise ValueError(f"{key} is {error}") from None
    return ImportSettings(**values)


def _paths(value: Any, folder: Path) -> tuple[Path | str, ...]:
    from qd_store.imports.files import is_uri

    entries = value if isinstance(value, list) else [value]
    if not entries or not all(isinstance(entry, str) and entry for entry in entries):
        raise ValueError(f'{value!r}; expected paths such as ["trades.zip", "updates"]')
    return tuple(entry if is_uri(entry) else _path(entry, folder) for entry in entries)


def _path(value: Any, folder: Path) -> Path:
    if not isinstance(value, str) or not value:
        raise ValueError(f"{value!r}; expected a path")
    try:
        return folder / Path(value).expanduser()
    except RuntimeError as error:
        raise ValueError(f"{value!r}; there is no such user's folder") from error


def _exchange(value: Any, _: Path) -> str:
    from qd_store.errors import UnknownExchange
    from qd_store.exchanges import EXCHANGES, find_exchange

    try:
        return find_exchange(value if isinstance(value, str) else repr(value)).name
    except UnknownExchange:
        known = ", ".join(exchange.name for exchange in EXCHANGES)
        raise ValueError(f"{value!r}; expected one of {known}") from None


def _parallel(value: Any, _: Path) -> int:
    whole = isinstance(value, int) and not isinstance(value, bool)
    if not whole or not 1 <= value <= PARALLEL_MAX:
        raise ValueError(f"{value!r}; expected a whole number from 1 to {PARALLEL_MAX}")
    return int(value)


def _strict(value: Any, _: Path) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"{value!r}; expected true or false")
    return value


_READERS: Mapping[str, Callable[[Any, Path], Any]] = {
    "paths": _paths,
    "exchange": _exchange,
    "parallel": _parallel,
    "strict": _strict,
    "rejects": _path,
    "scratch": _path,
}
