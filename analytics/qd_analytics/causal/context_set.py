"""Several contexts of one model, numbered, one of them the current one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from qd_analytics.causal.context import Context
from qd_analytics.causal.errors import DuplicateNode, UnknownNode

NO_CONTEXT: Final = 0
"""The number that stands for none."""


class ContextSet:
    """Contexts by number, from 1 on; rules that name no context read the current one."""

    def __init__(self, *contexts: Context) -> None:
        self._contexts: dict[int, Context] = {}
        self._last = NO_CONTEXT
        self._current = NO_CONTEXT
        for context in contexts:
            self.add(context)

    def add(self, context: Context, *, current: bool = False) -> int:
        """Add a context and return its number; `current` makes it the current one."""
        if any(known.name == context.name for known in self):
            raise DuplicateNode(
                f"there is a context '{context.name}' already; rules tell contexts by their names"
            )
        self._last += 1
        self._contexts[self._last] = context
        if current:
            self._current = self._last
        return self._last

    def remove(self, number: int) -> None:
        """Remove a context; if it was the current one, there is none."""
        self[number]
        del self._contexts[number]
        if self._current == number:
            self._current = NO_CONTEXT

    def __len__(self) -> int:
        return len(self._contexts)

    def __contains__(self, number: int) -> bool:
        return number in self._contexts

    def __getitem__(self, number: int) -> Context:
        try:
            return self._contexts[number]
        except KeyError:
            raise UnknownNode(
                f"there is no context {number}; there are {sorted(self._contexts)}"
            ) from None

    def __iter__(self) -> Iterator[Context]:
        """The current one first, then the others in their order."""
        if self._current != NO_CONTEXT:
            yield self._contexts[self._current]
        yield from (c for number, c in self._contexts.items() if number != self._current)

    @property
    def current(self) -> int:
        """The current context's number; `NO_CONTEXT` where there is none."""
        return self._current

    def set_current(self, number: int) -> None:
        """Make a context the current one."""
        self[number]
        self._current = number

    def unset_current(self) -> None:
        """Have no current context."""
        self._current = NO_CONTEXT
