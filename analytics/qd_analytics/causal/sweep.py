"""Closing what causes leave closed, for many plain rules at once.

A sweep covers neighbouring rules of a plan that open when all their causes are true. It is
prepared once. Nodes that all later ones follow from are gates: what they let through is one
accumulation over them, and what lies between them goes level by level, everywhere at once. So
chains and stacks of diamonds take few calls, however deep. What is deep and has no gates, such
as chains side by side, is walked with one integer for each node that holds all observations.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from qd_analytics.causal.states import TRUE, Codes

SWEEP_NODES_MIN: Final = 16  # fewer are closed one by one
CALL_COST: Final = 100  # nodes that can be walked in the time of one level's calls
WORD_BITS: Final = 64

Places = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True, eq=False)
class Group:
    """Slots whose rules one call evaluates.

    Attributes
    ----------
    slots : ndarray of int, shape (slots,)
    places : ndarray of int, shape (inputs of the rule, slots)
        What they read.
    function : callable
        Of arrays of shape (slots, observations); with limits, of these and the limits.
    limits : ndarray of float64, shape (slots, 1), or None
        One for each slot, for rules that differ in it only.
    """

    slots: Places
    places: Places
    function: Any
    limits: npt.NDArray[np.float64] | None


@dataclass(frozen=True, slots=True)
class Level:
    """Nodes that can be opened together.

    Attributes
    ----------
    nodes : ndarray of int
    causes : ndarray of int
        Of all these nodes, one node after the other.
    starts : ndarray of int or None
        Where each node's causes begin; None where each has one.
    """

    nodes: Places
    causes: Places
    starts: Places | None


@dataclass(frozen=True, slots=True)
class Waves:
    """How to go in few calls.

    Attributes
    ----------
    levels : tuple of Level
        What causes that are no gates leave closed.
    gates : ndarray of int
        Nodes that all later ones follow from.
    gate_before : ndarray of int
        For each node after the first gate, the place in `gates` of the last gate before it.
    """

    levels: tuple[Level, ...]
    gates: Places
    gate_before: Places


@dataclass(frozen=True, slots=True, eq=False)
class Sweep:
    """Neighbouring rules, prepared.

    Attributes
    ----------
    slots : ndarray of int
        Their slots in a plan's order; nodes are numbered by their place here.
    parent : int
        The slot around them.
    causes : tuple of tuples of int
        For each node its causes: nodes, or, from ``len(slots)`` on, the slots of `outside`.
    outside : ndarray of int
    waves : Waves or None
        None to walk node by node.
    """

    slots: Places = field(repr=False)
    parent: int
    causes: tuple[tuple[int, ...], ...] = field(repr=False)
    outside: Places = field(repr=False)
    waves: Waves | None = field(repr=False)

    def close(self, codes: Codes, parent_open: Codes | None) -> None:
        """Set to not evaluated, in `codes`, what causes or the parent leave closed."""
        span = _span(self.slots)
        own = codes[span]  # a view of neighbours, else a copy
        if parent_open is not None:
            own *= parent_open
        true = own & TRUE
        outside = codes[self.outside] & TRUE
        if not (true.all() and outside.all()):
            packed = _packed(np.concatenate([true, outside]) if len(outside) else true)
            own *= _unpacked(self._opened(packed), codes.shape[1])
        if not isinstance(span, slice):
            codes[span] = own

    def _opened(self, true: Codes) -> Codes:
        if self.waves is None:
            return _from_integers(self._walked(_integers(true), true.shape[1]), true.shape[1])
        return self._in_waves(true, self.waves)

    def _in_waves(self, true: Codes, waves: Waves) -> Codes:
        opened = np.full((len(self.slots), true.shape[1]), 255, dtype=np.uint8)
        for level in waves.levels:
            open_ = true[level.causes]
            if level.starts is not None:
                open_ = np.bitwise_and.reduceat(open_, level.starts, axis=0)
            opened[level.nodes] = open_
            true[level.nodes] &= open_
        if len(waves.gates):
            through = np.bitwise_and.accumulate(true[waves.gates], axis=0)
            opened[waves.gates[0] + 1 :] &= through[waves.gate_before]
        return opened

    def _walked(self, true: list[int], width: int) -> list[int]:
        everywhere = (1 << 8 * width) - 1
        opened: list[int] = []
        for at, causes in enumerate(self.causes):
            open_ = everywhere
            for cause in causes:
                open_ &= true[cause]
            opened.append(open_)
            true[at] &= open_
        return opened


def sweep_of(slots: Sequence[int], causes: Sequence[Sequence[int]], parent: int) -> Sweep:
    """Prepare a sweep over `slots`, each after its causes.

    Parameters
    ----------
    causes : sequence of sequences of int
        The slots that must be true, for each of `slots`.
    """
    node_of = {slot: node for node, slot in enumerate(slots)}
    outside: dict[int, int] = {}
    local: list[tuple[int, ...]] = []
    for before in causes:
        local.append(
            tuple(
                node_of[c] if c in node_of else outside.setdefault(c, len(slots) + len(outside))
                for c in before
            )
        )
    return Sweep(_places(slots), parent, tuple(local), _places(list(outside)), _waves(local))


def _waves(causes: Sequence[tuple[int, ...]]) -> Waves | None:
    """How to go in few numpy calls; None where walking is faster."""
    gates = _gates(causes)
    passed = set(gates.tolist())
    depth = [0] * len(causes)
    levels: dict[int, list[int]] = {}
    between: list[tuple[int, ...]] = []
    for node, before in enumerate(causes):
        between.append(tuple(c for c in before if c not in passed))
        if between[-1]:
            inside = (depth[c] for c in between[-1] if c < len(causes))
            depth[node] = 1 + max(inside, default=0)
            levels.setdefault(depth[node], []).append(node)
    if CALL_COST * (1 + len(levels)) > len(causes) + sum(map(len, causes)):
        return None
    after = np.arange(gates[0] + 1, len(causes)) if len(gates) else gates
    gate_before = np.searchsorted(gates, after) - 1
    made = tuple(_level(levels[at], between) for at in sorted(levels))
    return Waves(made, gates, gate_before)


def _gates(causes: Sequence[tuple[int, ...]]) -> Places:
    """The nodes that all later ones follow from: each of these has them, or one after, as cause."""
    nearest = [max((c for c in before if c < len(causes)), default=-1) for before in causes]
    least = np.minimum.accumulate(nearest[:0:-1])[::-1]
    return np.flatnonzero(least >= np.arange(len(least)))


def _level(nodes: list[int], causes: Sequence[tuple[int, ...]]) -> Level:
    flat = [cause for node in nodes for cause in causes[node]]
    if len(flat) == len(nodes):
        return Level(_places(nodes), _places(flat), None)
    lengths = [len(causes[node]) for node in nodes]
    starts = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    return Level(_places(nodes), _places(flat), starts.astype(np.intp))


def _places(numbers: Sequence[int]) -> Places:
    return np.array(numbers, dtype=np.intp)


def _span(slots: Places) -> Any:
    """A slice where the slots are neighbours: no copies then."""
    first, last = int(slots[0]), int(slots[-1])
    return slice(first, last + 1) if last - first == len(slots) - 1 else slots


# Observations as bits


def _packed(true: Codes) -> Codes:
    """Eight observations to a byte, whole words; one observation stays as it is."""
    if true.shape[1] == 1:
        return true
    packed = np.packbits(true, axis=1)
    missing = -packed.shape[1] % (WORD_BITS // 8)
    if not missing:
        return packed
    whole = np.zeros((len(packed), packed.shape[1] + missing), dtype=np.uint8)
    whole[:, : packed.shape[1]] = packed
    return whole


def _unpacked(opened: Codes, rows: int) -> Codes:
    if rows == 1:
        return opened & TRUE
    return np.unpackbits(opened, axis=1, count=rows)


def _integers(packed: Codes) -> list[int]:
    """One integer for each node."""
    width = packed.shape[1]
    if width in (1, 8):
        words: list[int] = packed.view(np.dtype(f"u{width}"))[:, 0].tolist()
        return words
    data = packed.tobytes()
    return [int.from_bytes(data[at : at + width], "little") for at in range(0, len(data), width)]


def _from_integers(integers: list[int], width: int) -> Codes:
    if width in (1, 8):
        words = np.array(integers, dtype=np.dtype(f"u{width}"))
        return words.view(np.uint8).reshape(len(integers), width)
    data = b"".join(number.to_bytes(width, "little") for number in integers)
    return np.frombuffer(data, dtype=np.uint8).reshape(len(integers), width)
