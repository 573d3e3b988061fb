"""The four states of a node, chosen so that the states of many combine by bit operations.

Nothing here knows about rules, graphs or data.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np
import numpy.typing as npt

Codes = npt.NDArray[np.uint8]


class State(IntEnum):
    """What an evaluation says of a node.

    Each is one bit, or none: the OR over many nodes tells which states occur, the AND
    of ``TRUE`` whether all are true.
    """

    NOT_EVALUATED = 0
    TRUE = 1
    FALSE = 2
    ERROR = 4

    @property
    def label(self) -> str:
        """The state in words."""
        return self.name.lower().replace("_", " ")


TRUE, FALSE, ERROR = np.uint8(State.TRUE), np.uint8(State.FALSE), np.uint8(State.ERROR)


def codes_of(booleans: npt.NDArray[np.bool_]) -> Codes:
    """True to ``TRUE``, false to ``FALSE``."""
    return np.subtract(FALSE, booleans.view(np.uint8))


def _worst_table() -> Codes:
    """Index: OR of the states, and 8 where all are true. Error, then false, then unknown."""
    table = np.full(16, State.NOT_EVALUATED, dtype=np.uint8)
    for index in range(16):
        if index & State.ERROR:
            table[index] = State.ERROR
        elif index & State.FALSE:
            table[index] = State.FALSE
        elif index & 8:
            table[index] = State.TRUE
    return table


_WORST = _worst_table()


def all_of(codes: Codes) -> Codes:
    """Combine node states of shape (nodes, observations) as a conjunction.

    An error among them is an error; else one false makes it false; else one that was not
    evaluated leaves it not evaluated; else it is true.
    """
    occurring = np.bitwise_or.reduce(codes, axis=0)
    every = np.bitwise_and.reduce(codes, axis=0) & TRUE
    answer: Codes = _WORST[occurring | (every << np.uint8(3))]
    return answer


def at_least(codes: Codes, count: int) -> Codes:
    """At least `count` of the nodes are true, for codes of shape (nodes, observations).

    An error among them is an error. Nodes that were not evaluated leave the answer open
    where they could still decide it.
    """
    true = np.count_nonzero(codes == TRUE, axis=0)
    unknown = np.count_nonzero(codes == State.NOT_EVALUATED, axis=0)
    answer = np.where(true >= count, TRUE, np.where(true + unknown >= count, np.uint8(0), FALSE))
    failed = np.bitwise_or.reduce(codes, axis=0) & ERROR
    return np.where(failed != 0, ERROR, answer).astype(np.uint8)


_NEGATED = np.array([0, State.FALSE, State.TRUE, 0, State.ERROR], dtype=np.uint8)


def negated(codes: Codes) -> Codes:
    """True becomes false and false true; the rest stays."""
    return _NEGATED[codes]
