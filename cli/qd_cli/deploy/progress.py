"""How a deployment's progress is shown: a table that changes, lines in a pipe, or JSON events."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Protocol

from qd_cli import console
from qd_cli.deploy.observing import SETTLED, Part, State

if TYPE_CHECKING:
    from rich.console import Console
    from rich.live import Live


class View(Protocol):
    """Where progress goes."""

    def say(self, text: str) -> None:
        """A step that was taken."""

    def parts(self, parts: Sequence[Part]) -> None:
        """How the parts are now."""


def state_text(part: Part) -> str:
    """A part's state in a few words."""
    if part.state is State.DONE:
        return "done"
    many = f" {part.ready}/{part.wanted}" if part.wanted != 1 else ""
    return f"{part.state.value}{many}"


def note(part: Part) -> str:
    """What a part waits for, or what is wrong with it."""
    if part.state in SETTLED:
        return ""
    return part.problems[0].what if part.problems else part.detail


class Lines:
    """A line on standard error for each change."""

    def __init__(self) -> None:
        self._said: dict[str, str] = {}

    def say(self, text: str) -> None:
        """See `View.say`."""
        console.say(text)

    def parts(self, parts: Sequence[Part]) -> None:
        """See `View.parts`."""
        for part in parts:
            words = f"{part.name:<11}{state_text(part)}"
            if extra := note(part):
                words += f": {extra}"
            if self._said.get(part.workload) != words:
                self._said[part.workload] = words
                console.say(words)


class Events:
    """A JSON event on standard output for each change."""

    def __init__(self) -> None:
        self._said: dict[str, object] = {}

    def say(self, text: str) -> None:
        """See `View.say`."""
        console.print_json({"event": "step", "text": text})

    def parts(self, parts: Sequence[Part]) -> None:
        """See `View.parts`."""
        for part in parts:
            now = part_json(part)
            if self._said.get(part.workload) != now:
                self._said[part.workload] = now
                console.print_json({"event": "part", **now})


def part_json(part: Part) -> dict[str, object]:
    """A part for scripts."""
    return {
        "part": part.name,
        "kind": part.kind,
        "state": part.state.value,
        "ready": part.ready,
        "wanted": part.wanted,
        "restarts": part.restarts,
        "image": part.image,
        "detail": part.detail,
        "problems": [
            {"what": each.what, "why": each.why, "todo": each.todo} for each in part.problems
        ],
    }


class Table:
    """A table on the terminal that changes in its place."""

    def __init__(self, live: Live, screen: Console) -> None:
        self._live = live
        self._screen = screen
        self._known: dict[str, Part] = {}

    def say(self, text: str) -> None:
        """See `View.say`."""
        self._screen.print(text, markup=False)

    def parts(self, parts: Sequence[Part]) -> None:
        """See `View.parts`."""
        from rich.table import Table as Grid
        from rich.text import Text

        self._known.update({part.workload: part for part in parts})
        grid = Grid.grid(padding=(0, 2))
        for part in self._known.values():
            colour = "green" if part.state in SETTLED else "red" if part.problems else "yellow"
            grid.add_row(Text(part.name), Text(state_text(part), style=colour), Text(note(part)))
        self._live.update(grid, refresh=True)


@contextlib.contextmanager
def view(*, json: bool) -> Iterator[View]:
    """The way that fits where output goes."""
    if json:
        yield Events()
        return
    screen = console.console(stderr=True)
    if not screen.is_terminal:
        yield Lines()
        return
    from rich.live import Live

    with Live(console=screen, auto_refresh=False, redirect_stdout=False) as live:
        yield Table(live, screen)
