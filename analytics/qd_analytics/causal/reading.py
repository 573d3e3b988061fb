"""Single values as rules get them: checked numbers, or why there is none.

What contexts give is read once, before anything is evaluated: all rules of one evaluation
see the same version of a context.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from qd_analytics.causal.context import Absent, Context
from qd_analytics.causal.errors import UnknownNode
from qd_analytics.causal.inputs import FromContext, Input


@dataclass(frozen=True, slots=True)
class Refused:
    """A value that no rule may see, and why."""

    reason: str


Reading = float | Absent | Refused
Snapshot = tuple[Reading | None, ...]
"""For each input of a plan what the contexts say; None for those that the data give."""


def checked(source: Input, value: float) -> float | Refused:
    """The value if it is finite."""
    if value - value == 0.0:  # neither NaN nor infinite
        return value
    return Refused(f"'{source}' is {value}; expected a finite number")


def snapshot_of(inputs: Sequence[Input], contexts: Sequence[Context]) -> Snapshot:
    """Read everything that a plan's rules want from contexts.

    Raises
    ------
    UnknownNode
        If a context that they read was not given.
    """
    return tuple(
        _from_context(source, contexts) if isinstance(source, FromContext) else None
        for source in inputs
    )


def _from_context(source: FromContext, contexts: Sequence[Context]) -> Reading:
    wanted = source.context
    for context in contexts:
        if wanted is None or context.name == wanted:
            value = context.read(source.index, source.field)
            return value if isinstance(value, Absent) else checked(source, float(value))
    raise UnknownNode(
        f"a rule reads '{source}', but the evaluation got "
        f"{', '.join(repr(c.name) for c in contexts) or 'no context'}; pass the context to it"
    )
