"""From a model's answers to alerts: where the signal rises and falls, and which are told. Pure."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from enum import Enum

import numpy as np

from qd_analytics.causal.states import TRUE, Codes, State
from qd_analytics.models.protocol import Index
from qd_schemas.enums import Signal


class Policy(Enum):
    """Which trades that a model says true of raise an alert."""

    RISE = "rise"  # of the trade before it, it did not
    FIRST = "first"  # the first of a period
    EVERY = "every"


class Signals(Enum):
    """Whether alerts tell that the signal rises, that it falls, or both."""

    RISES = "rises"
    FALLS = "falls"
    BOTH = "both"


@dataclass(frozen=True, slots=True)
class Change:
    """Whether the signal rises or falls at a trade, and whether it is its period's first."""

    rises: bool
    falls: bool
    is_first: bool


@dataclass(frozen=True, slots=True)
class Alerting:
    """Which answers raise an alert.

    Attributes
    ----------
    signals : Signals
        Rises, falls, or both.
    policy : Policy
        Which rises.
    """

    signals: Signals = Signals.RISES
    policy: Policy = Policy.RISE

    @property
    def rises(self) -> bool:
        """Whether rises are told."""
        return self.signals is not Signals.FALLS

    @property
    def falls(self) -> bool:
        """Whether falls are told."""
        return self.signals is not Signals.RISES

    @property
    def is_quiet(self) -> bool:
        """Whether nothing is told while the signal stays as it is."""
        return self.policy is not Policy.EVERY or not self.rises

    def sign(self, state: State, change: Change) -> Signal | None:
        """What one trade's alert tells, if it raises one."""
        if self.rises:
            raised = {
                Policy.RISE: change.rises,
                Policy.FIRST: change.is_first,
                Policy.EVERY: state is State.TRUE,
            }
            if raised[self.policy]:
                return Signal.ROSE
        return Signal.FELL if self.falls and change.falls else None


@dataclass(slots=True)
class SignalState:
    """Where the signal stands between arrays of trades.

    Attributes
    ----------
    is_true : bool
        What the last trade said.
    was_true : bool
        Whether a trade of this period was true.
    """

    is_true: bool = False
    was_true: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Changes:
    """Rows of an array of trades where the signal changes.

    Attributes
    ----------
    rises, falls : ndarray of int
        Against the trade before.
    firsts : ndarray of int
        Rows that are the first true ones of their period.
    """

    rises: Index
    falls: Index
    firsts: Index


_NO_ROWS: Index = np.empty(0, dtype=np.intp)
NO_CHANGES = Changes(_NO_ROWS, _NO_ROWS, _NO_ROWS)


def changes_of(states: Codes, starts: Index, signal: SignalState) -> Changes:
    """The rows where the signal changes; moves `signal` to the last trade."""
    true = np.bitwise_and(states, TRUE)
    count = int(np.count_nonzero(true))
    if not len(starts) and count == (len(states) if signal.is_true else 0):
        return NO_CHANGES  # as it was, throughout
    before = np.empty(len(states), dtype=np.uint8)
    before[0] = signal.is_true
    before[1:] = true[:-1]
    rows = np.flatnonzero(true != before)
    rose = true[rows] == TRUE
    firsts = _firsts(true, starts, signal)
    signal.is_true = bool(true[-1])
    return Changes(rows[rose], rows[~rose], firsts)


def _firsts(true: Codes, starts: Index, signal: SignalState) -> Index:
    bounds = [0, *(start for start in starts.tolist() if start), len(true)]
    begins = set(starts.tolist())
    found: list[int] = []
    for start, stop in itertools.pairwise(bounds):
        if start in begins:
            signal.was_true = False
        if signal.was_true:
            continue
        first = int(true[start:stop].argmax())
        if true[start + first]:
            signal.was_true = True
            found.append(start + first)
    return np.array(found, dtype=np.intp)


def change_of(state: State, starts: bool, signal: SignalState) -> Change:
    """The same for one trade, which may be the first of its period."""
    true = state is State.TRUE
    if starts:
        signal.was_true = False
    first = true and not signal.was_true
    rises, falls = true and not signal.is_true, signal.is_true and not true
    signal.is_true = true
    signal.was_true = signal.was_true or true
    return Change(rises, falls, first)


def told(states: Codes, changes: Changes, alerting: Alerting) -> list[tuple[int, Signal]]:
    """The rows that raise an alert, in order, and what it tells."""
    signals: list[tuple[int, Signal]] = []
    if alerting.rises:
        if alerting.policy is Policy.EVERY:
            rows = np.flatnonzero(states == TRUE)
        else:
            rows = changes.rises if alerting.policy is Policy.RISE else changes.firsts
        signals += [(row, Signal.ROSE) for row in rows.tolist()]
    if alerting.falls:
        signals += [(row, Signal.FELL) for row in changes.falls.tolist()]
    return sorted(signals)
