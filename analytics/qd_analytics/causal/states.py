"""The states of a node, chosen so that the states of many combine by bit operations.

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
    of ``TRUE`` whether all are true. A node whose effect is a number is true when it has
    one that exceeds its threshold, or any number where it has no threshold.
    """

    NOT_EVALUATED = 0
    TRUE = 1
    FALSE = 2
    ERROR = 4
    RELAYED = 8  # its rule handed over to another node

    @property
    def label(self) -> str:
        """The state in words."""
        return self.name.lower().replace("_", " ")


TRUE, FALSE, ERROR = np.uint8(State.TRUE), np.uint8(State.FALSE), np.uint8(State.ERROR)
RELAYED, NONE = np.uint8(State.RELAYED), np.uint8(State.NOT_EVALUATED)

_EVERY = 16  # index bit: all are true


def codes_of(booleans: npt.NDArray[np.bool_]) -> Codes:
    """True to ``TRUE``, false to ``FALSE``."""
    return np.subtract(FALSE, booleans.view(np.uint8))


def _worst_table() -> Codes:
    """Index: OR of the states, and 16 where all are true."""
    table = np.full(2 * _EVERY, State.NOT_EVALUATED, dtype=np.uint8)
    for index in range(2 * _EVERY):
        for state in (State.ERROR, State.FALSE, State.RELAYED):
            if index & state:
                table[index] = state
                break
        else:
            if index & _EVERY:
                table[index] = State.TRUE
    return table


_WORST = _worst_table()


def all_of(codes: Codes) -> Codes:
    """Combine node states of shape (nodes, observations) as a conjunction.

    An error among them is an error; else one false makes it false; else one that relayed
    or was not evaluated leaves it so; else it is true.
    """
    if codes.shape[1] == 1:  # one long row is faster than many short ones
        flat = codes.reshape(-1)
        occurring = np.bitwise_or.reduce(flat, keepdims=True)
        every = np.bitwise_and.reduce(flat, keepdims=True) & TRUE
    else:
        occurring = np.bitwise_or.reduce(codes, axis=0)
        every = np.bitwise_and.reduce(codes, axis=0) & TRUE
    answer: Codes = _WORST[occurring | (every << np.uint8(4))]
    return answer


def at_least(codes: Codes, count: int) -> Codes:
    """At least `count` of the nodes are true, for codes of shape (nodes, observations).

    An error among them is an error. Nodes that relayed or were not evaluated leave the
    answer open where they could still decide it.
    """
    true = np.count_nonzero(codes == TRUE, axis=0)
    occurring = np.bitwise_or.reduce(codes, axis=0)
    unknown = len(codes) - true - np.count_nonzero(codes == FALSE, axis=0)
    undecided = np.where(true + unknown >= count, occurring & RELAYED, FALSE)
    answer = np.where(true >= count, TRUE, undecided)
    return np.where(occurring & ERROR != 0, ERROR, answer).astype(np.uint8)


_NEGATED = np.arange(16, dtype=np.uint8)
_NEGATED[[State.TRUE, State.FALSE]] = State.FALSE, State.TRUE


def negated(codes: Codes) -> Codes:
    """True becomes false and false true; the rest stays."""
    return _NEGATED[codes]
