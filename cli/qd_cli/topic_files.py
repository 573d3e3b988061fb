"""Files that declare topics: TOML, one table for each, with the options' names as keys.

::

    [topics.prices]
    partitions = 2
    replication = 1
    retention = "7d"              # or seconds: 604800
    segment-size = "64MB"         # or bytes
    max-partition-size = "10GiB"
    compression = "zstd"          # none, gzip, snappy, lz4, zstd, any
    dedup-count = 1000            # with it, records that repeat are dropped
    dedup-age = "1h"
    dedup-filter = "dedup-filter"

Everything has a default. Only text is read here; no cluster is asked.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from qd_cli.toml_files import read_toml
from qd_cli.units import parse_bytes, parse_seconds
from qd_fluvio import Compression, Deduplication, TopicSettings
from qd_schemas.errors import SettingError

_TABLE = "topics"


def read_topics(path: Path) -> dict[str, TopicSettings]:
    """Read a file of topics.

    Returns
    -------
    dict
        Each topic's settings by its name, in the file's order.

    Raises
    ------
    FileBroken
        The message names the file, and the line or the key.
    """
    return read_toml(path, parse_topics, "a list of topics")


def parse_topics(text: str) -> dict[str, TopicSettings]:
    """Read a file's text; ValueError names the key."""
    document = tomllib.loads(text)
    others = sorted(set(document) - {_TABLE})
    if others:
        raise ValueError(f"{others[0]} is not known; expected tables such as [{_TABLE}.prices]")
    tables = document.get(_TABLE)
    if not isinstance(tables, dict) or not tables:
        raise ValueError(f"no topic in it; expected tables such as [{_TABLE}.prices]")
    return {name: _settings(f"{_TABLE}.{name}", table) for name, table in tables.items()}


def _settings(where: str, table: Any) -> TopicSettings:
    if not isinstance(table, dict):
        raise ValueError(f"{where} is {table!r}; expected a table of settings")
    for key in table:
        if key not in _READERS:
            raise ValueError(f"{where}.{key} is not known; expected {', '.join(_READERS)}")
    values = {key: _value(f"{where}.{key}", _READERS[key], value) for key, value in table.items()}
    try:
        return settings_of(values)
    except SettingError as error:
        raise ValueError(f"{where}: {error}") from None


def _value(where: str, read: Callable[[Any], Any], value: Any) -> Any:
    try:
        return read(value)
    except ValueError as error:
        raise ValueError(f"{where} is {error}") from None


def settings_of(values: Mapping[str, Any]) -> TopicSettings:
    """Make settings of values by the options' names; those that are missing or None are default.

    Raises
    ------
    SettingError
        A number is out of range, or something is said of a deduplication without its count.
    """
    chosen = {key: value for key, value in values.items() if value is not None}
    names = {
        "partitions": "partitions",
        "replication": "replication",
        "retention": "retention_s",
        "segment-size": "segment_bytes",
        "max-partition-size": "max_partition_bytes",
        "compression": "compression",
    }
    plain = {names[key]: value for key, value in chosen.items() if key in names}
    return TopicSettings(**plain, deduplication=_deduplication(chosen))


def _deduplication(chosen: Mapping[str, Any]) -> Deduplication | None:
    names = {"dedup-count": "count", "dedup-age": "age_s", "dedup-filter": "filter"}
    found = {names[key]: value for key, value in chosen.items() if key in names}
    if found and "count" not in found:
        key = next(key for key in chosen if key in names)
        raise SettingError(f"{key} is given without dedup-count; give both, or neither")
    return Deduplication(**found) if found else None


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"{value!r}; expected a whole number")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError(f"{value!r}; expected a text")
    return value


def _with_unit(parse: Callable[[str], int]) -> Callable[[Any], int]:
    def read(value: Any) -> int:
        if isinstance(value, int) and not isinstance(value, bool):
            return value
        return parse(value if isinstance(value, str) else repr(value))

    return read


def parse_compression(text: Any) -> Compression:
    """Read a compression's name; ValueError says which there are."""
    known = [kind.value for kind in Compression]
    if text not in known:
        raise ValueError(f"{text!r}; expected one of {', '.join(known)}")
    return Compression(text)


_READERS: Mapping[str, Callable[[Any], Any]] = {
    "partitions": _whole,
    "replication": _whole,
    "retention": _with_unit(parse_seconds),
    "segment-size": _with_unit(parse_bytes),
    "max-partition-size": _with_unit(parse_bytes),
    "compression": parse_compression,
    "dedup-count": _whole,
    "dedup-age": _with_unit(parse_seconds),
    "dedup-filter": _text,
}
