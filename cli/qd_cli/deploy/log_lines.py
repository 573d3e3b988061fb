"""Log lines of many pods, as kubectl prints them with their pods and times. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

_LINE: Final = re.compile(
    r"\[pod/(?P<pod>[^/\]]+)/(?P<container>[^\]]+)\] (?P<time>\S+) ?(?P<text>.*)"
)
_WIDTH: Final = 10
_PLAIN: Final = ("time", "level", "event")


@dataclass(frozen=True, slots=True, order=True)
class Line:
    """One line that a container wrote."""

    time: str
    pod: str
    container: str
    text: str


def lines_of(output: str) -> list[Line]:
    """The lines of ``kubectl logs --prefix --timestamps``, in order of time.

    A line of another form belongs to the one before it.
    """
    found: list[Line] = []
    for text in output.splitlines():
        if match := _LINE.match(text):
            found.append(Line(match["time"], match["pod"], match["container"], match["text"]))
        elif found and text:
            last = found.pop()
            found.append(Line(last.time, last.pod, last.container, f"{last.text}\n{text}"))
    return sorted(found, key=lambda line: line.time)


class Fresh:
    """Tells new lines from those that were given before."""

    def __init__(self) -> None:
        self._last: dict[tuple[str, str], str] = {}

    def of(self, lines: Iterable[Line]) -> Iterator[Line]:
        """The lines that are newer than any of their container's so far."""
        for line in lines:
            source = (line.pod, line.container)
            if line.time > self._last.get(source, ""):
                self._last[source] = line.time
                yield line

    @property
    def newest(self) -> str:
        """The time of the newest line; empty where there was none."""
        return max(self._last.values(), default="")


def shown(line: Line, *, raw: bool) -> str:
    """A line as it is printed."""
    text = line.text if raw else readable(line.text)
    return f"{line.container:<{_WIDTH}} | {text}"


def readable(line: str) -> str:
    """A log line for people, also where it is one JSON object."""
    if not line.startswith("{"):
        return line
    try:
        found = json.loads(line)
    except ValueError:
        return line
    if not isinstance(found, dict):
        return line
    return " ".join(
        str(value) if key in _PLAIN else f"{key}={value}" for key, value in found.items()
    )
