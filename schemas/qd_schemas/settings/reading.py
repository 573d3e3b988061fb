"""Reading one value out of a mapping of texts; each error names the setting and what is wrong."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import Enum
from typing import Final, TypeVar

from qd_schemas.enums import ExchangeId
from qd_schemas.errors import SettingError

Environment = Mapping[str, str]
E = TypeVar("E", bound=Enum)

PORT_MAX: Final = 65_535
LIMIT_MAX: Final = 1_000_000

_ENDPOINT: Final = re.compile(r"(?:\[(?P<v6>[^\]]+)\]|(?P<host>[^:\[\]\s]+)):(?P<port>\d{1,5})")


def required(env: Environment, name: str, expected: str) -> str:
    """The text of a setting that must be there."""
    found = env.get(name, "").strip()
    if not found:
        raise SettingError(f"{name} is not set; expected {expected}")
    return found


def endpoint(env: Environment, name: str, port_min: int) -> tuple[str, int]:
    """A host and a port."""
    expected = f"host:port with a port from {port_min} to {PORT_MAX}, such as 127.0.0.1:9003"
    found = required(env, name, expected)
    match = _ENDPOINT.fullmatch(found)
    if match is None or not port_min <= int(match["port"]) <= PORT_MAX:
        raise SettingError(f"{name} is {found!r}; expected {expected}")
    return match["v6"] or match["host"], int(match["port"])


def joined(host: str, port: int) -> str:
    """``host:port``, the host in brackets where it is an IPv6 address."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def integer(env: Environment, name: str, default: int, low: int, high: int) -> int:
    """A whole number within bounds."""
    found = env.get(name, "").strip()
    if not found:
        return default
    # The length is checked first: int() refuses thousands of digits with an error of its own.
    value = int(found) if len(found) < 20 and re.fullmatch(r"-?[0-9]+", found) else None
    if value is None or not low <= value <= high:
        raise SettingError(f"{name} is {found!r}; expected a whole number from {low} to {high}")
    return value


def limit(env: Environment, name: str, default: int) -> int:
    """A limit: a whole number from 1."""
    return integer(env, name, default, 1, LIMIT_MAX)


def seconds(env: Environment, name: str, default: float, low: float, high: float) -> float:
    """Seconds within bounds."""
    found = env.get(name, "").strip()
    if not found:
        return default
    try:
        value = float(found)
    except ValueError:
        value = float("nan")
    if not low <= value <= high:
        raise SettingError(f"{name} is {found!r}; expected seconds from {low:g} to {high:g}")
    return value


def exchange(env: Environment, name: str, default: ExchangeId) -> ExchangeId:
    """An exchange by its name."""
    found = env.get(name, "").strip()
    if not found:
        return default
    known = {exchange.name.lower(): exchange for exchange in ExchangeId if exchange}
    if found.lower() not in known:
        raise SettingError(f"{name} is {found!r}; expected one of {', '.join(known)}")
    return known[found.lower()]


def choice(env: Environment, name: str, kind: type[E], default: E) -> E:
    """One member of an enumeration by its value."""
    found = env.get(name, "").strip() or str(default.value)
    known = {str(member.value): member for member in kind}
    if found not in known:
        raise SettingError(f"{name} is {found!r}; expected {' or '.join(known)}")
    return known[found]
