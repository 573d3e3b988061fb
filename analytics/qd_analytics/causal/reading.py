"""Single values as rules get them: checked numbers, or why there is none.

What contexts give is read once, before anything is evaluated: all rules of one evaluation
see the same version of each context.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from qd_analytics.causal.context import Absent, Context, held
from qd_analytics.causal.errors import UnknownNode
from qd_analytics.causal.inputs import FromContext, Input


@dataclass(frozen=True, slots=True)
class Refused:
    """A value that no rule may see, and why."""

    reason: str


Reading = float | Absent | Refused
Column = npt.NDArray[np.float64] | Reading
"""What an input is for many observations: an array, or one reading for all."""

Snapshot = Mapping[int, Column]
"""What the contexts say, by place in a plan's inputs."""

Overlay = Mapping[FromContext, Column]
"""What is read in place of a context's values."""

NO_OVERLAY: Overlay = {}


def checked(source: Input, value: float) -> float | Refused:
    """The value if it is finite."""
    if value - value == 0.0:  # neither NaN nor infinite
        return value
    return Refused(f"'{source}' is {value}; expected a finite number")


def snapshot_of(
    wanted: Mapping[FromContext, int], contexts: Sequence[Context], overlay: Overlay = NO_OVERLAY
) -> Snapshot:
    """Read everything that a plan's rules want from contexts.

    Parameters
    ----------
    wanted : mapping
        The places of these inputs: `Plan.from_contexts`.

    Raises
    ------
    UnknownNode
        If a context that they read was not given.
    """
    if not wanted:
        return {}
    with held():
        return {
            place: overlay[source] if source in overlay else _from_context(source, contexts)
            for source, place in wanted.items()
        }


def context_for(source: FromContext, contexts: Sequence[Context]) -> Context:
    """The context that an input reads."""
    for context in contexts:
        if source.context is None or context.name == source.context:
            return context
    raise UnknownNode(
        f"a rule reads '{source}', but the evaluation got "
        f"{', '.join(repr(c.name) for c in contexts) or 'no context'}; pass the context to it"
    )


def _from_context(source: FromContext, contexts: Sequence[Context]) -> Reading:
    value = context_for(source, contexts).read(source.index, source.field)
    return value if isinstance(value, Absent) else checked(source, float(value))
