"""What the text of a setting may be, and the value that it stands for. Nothing here is read.

A kind says what it expects in words that end the sentence "…; expected …".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Final, Generic, Protocol, TypeVar

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
N = TypeVar("N", int, float)

PORT_MAX: Final = 65_535
_ENDPOINT: Final = re.compile(r"(?:\[(?P<v6>[^\]]+)\]|(?P<host>[^:\[\]\s]+)):(?P<port>\d{1,5})")
_SHOWN_CHARACTERS_MAX: Final = 80
_NUMBER_CHARACTERS_MAX: Final = 20
"""int() refuses thousands of digits with an error of its own."""


class Kind(Protocol[T_co]):
    """One kind of settings."""

    @property
    def expected(self) -> str:
        """What the text should be."""

    @property
    def toml(self) -> tuple[type, ...]:
        """The types that it has in the file."""

    def parse(self, text: str) -> T_co:
        """The value of a text; ValueError where it is none."""

    def wrong(self, text: str) -> str:
        """What is wrong with a text that `parse` refused, without repeating a secret."""


class _Shown:
    """A kind whose texts may be repeated in an error."""

    toml: ClassVar[tuple[type, ...]] = (str,)

    def wrong(self, text: str) -> str:
        """Show what was found."""
        return f"is {shown(text)}"


def shown(text: str) -> str:
    """A text in quotes, cut where it is very long."""
    if len(text) <= _SHOWN_CHARACTERS_MAX:
        return repr(text)
    return f"{text[:_SHOWN_CHARACTERS_MAX]!r}… ({len(text)} characters)"


@dataclass(frozen=True, slots=True)
class Address:
    """A host and a port; where something listens, port 0 means a free one."""

    host: str
    port: int

    @property
    def endpoint(self) -> str:
        """``host:port``, the host in brackets where it is an IPv6 address."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True)
class Endpoint(_Shown):
    """``host:port``."""

    port_min: int = 0

    @property
    def expected(self) -> str:
        """What the text should be."""
        return f"host:port with a port from {self.port_min} to {PORT_MAX}, such as 127.0.0.1:9003"

    def parse(self, text: str) -> Address:
        """The address."""
        match = _ENDPOINT.fullmatch(text)
        if match is None or not self.port_min <= int(match["port"]) <= PORT_MAX:
            raise ValueError
        return Address(match["v6"] or match["host"], int(match["port"]))


@dataclass(frozen=True)
class Whole(_Shown):
    """A whole number within bounds."""

    low: int
    high: int
    toml = (int,)

    @property
    def expected(self) -> str:
        """What the text should be."""
        return f"a whole number from {self.low} to {self.high}"

    def parse(self, text: str) -> int:
        """The number."""
        if len(text) > _NUMBER_CHARACTERS_MAX or not re.fullmatch(r"-?[0-9]+", text):
            raise ValueError
        return _within(int(text), self.low, self.high)


@dataclass(frozen=True)
class Seconds(_Shown):
    """Seconds within bounds."""

    low: float
    high: float
    toml = (int, float)

    @property
    def expected(self) -> str:
        """What the text should be."""
        return f"seconds from {self.low:g} to {self.high:g}"

    def parse(self, text: str) -> float:
        """The seconds."""
        return _within(float(text), self.low, self.high)


def _within(value: N, low: N, high: N) -> N:
    if not low <= value <= high:  # not a number is not within
        raise ValueError
    return value


@dataclass(frozen=True)
class Choice(_Shown, Generic[T]):
    """One of a few words, in any letter case."""

    words: Mapping[str, T]

    @property
    def expected(self) -> str:
        """What the text should be."""
        known = list(self.words)
        return " or ".join(known) if len(known) == 2 else f"one of {', '.join(known)}"

    def parse(self, text: str) -> T:
        """What the word stands for."""
        if text.lower() not in self.words:
            raise ValueError
        return self.words[text.lower()]


@dataclass(frozen=True)
class Text(_Shown):
    """Any text of one line."""

    expected: str

    def parse(self, text: str) -> str:
        """The text itself."""
        if not text.isprintable():
            raise ValueError
        return text


@dataclass(frozen=True)
class Words(_Shown):
    """Words, with commas between them; in the file a list."""

    expected: str
    toml = (str, list)

    def parse(self, text: str) -> tuple[str, ...]:
        """The words."""
        if not text.isprintable():
            raise ValueError
        return tuple(word.strip() for word in text.split(",") if word.strip())


@dataclass(frozen=True)
class Detours(_Shown):
    """Pairs of addresses: where a server says that it is, and where it is reached from here."""

    expected: str = (
        "pairs such as broker:9010=127.0.0.1:41234, each address host:port, with commas between "
        "the pairs"
    )
    toml = (str, list)

    def parse(self, text: str) -> tuple[tuple[str, str], ...]:
        """The pairs; an address leads to one place."""
        endpoint = Endpoint(port_min=1)
        pairs = [pair.partition("=")[::2] for pair in text.split(",") if pair.strip()]
        found = tuple(
            (endpoint.parse(told.strip()).endpoint, endpoint.parse(taken.strip()).endpoint)
            for told, taken in pairs
        )
        if not found or len(dict(found)) < len(found):
            raise ValueError
        return found


@dataclass(frozen=True)
class Secret(_Shown):
    """A text that is never shown."""

    expected: str

    def parse(self, text: str) -> str:
        """The text itself."""
        if not text.isprintable() or " " in text:
            raise ValueError
        return text

    def wrong(self, text: str) -> str:
        """Say only that it is no such text."""
        return f"has {len(text)} characters, among them spaces or unprintable ones"


@dataclass(frozen=True)
class Dsn(_Shown):
    """Where a PostgreSQL database is; it may hold a password, or be one."""

    expected: str = "a DSN that begins with postgresql://"

    def parse(self, text: str) -> str:
        """The text itself."""
        if not text.startswith(("postgresql://", "postgres://")):
            raise ValueError
        return text

    def wrong(self, text: str) -> str:
        """Show nothing but what is surely a scheme."""
        scheme, mark, _ = text.partition("://")
        return f"begins with {scheme[:20]!r}" if mark else "holds no DSN"
