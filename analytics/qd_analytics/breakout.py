"""The monthly breakout model: four causaloids over a context that rolls month by month.

A market's stream of trades goes in, whole arrays at a time, and any way of cutting it into
arrays gives the same answers. Nothing here knows where trades come from or alerts go.
"""

from __future__ import annotations

import functools
import operator
from dataclasses import dataclass
from enum import Enum, IntEnum
from typing import Final

import numpy as np
import numpy.typing as npt

from qd_analytics.causal.batch import evaluate_columns
from qd_analytics.causal.causaloid import Singleton
from qd_analytics.causal.context import IndexName
from qd_analytics.causal.evaluation import BatchEvaluation, Evaluation
from qd_analytics.causal.graph import Graph
from qd_analytics.causal.inputs import FromContext
from qd_analytics.causal.model import Model
from qd_analytics.causal.reading import snapshot_of
from qd_analytics.causal.states import TRUE, Codes, State
from qd_analytics.errors import TradesRefused
from qd_analytics.rolling import Levels, MonthlyContext, Prices
from qd_schemas.arrays import TRADE, Rows
from qd_schemas.enums import ModelId, Signal
from qd_schemas.messages import BreakoutAlert

TIME_MIN_US: Final = int(np.datetime64("0001-01-01", "us").astype(np.int64))
TIME_END_US: Final = int(np.datetime64("9999-12-01", "us").astype(np.int64))

Index = npt.NDArray[np.intp]


class BreakoutRule(IntEnum):
    """The four rules, in their order."""

    PREVIOUS_MONTH_ROSE = 1
    ABOVE_PREVIOUS_CLOSE = 2
    ABOVE_CURRENT_OPEN = 3
    ABOVE_PREVIOUS_HIGH = 4


class AlertPolicy(Enum):
    """Which trades that are a breakout raise an alert."""

    RISE = "rise"  # the trade before it was none
    FIRST_OF_MONTH = "first of the month"
    EVERY_TRADE = "every trade"


@functools.cache
def monthly_breakout_model() -> Model:
    """The model: its four rules as a graph of causaloids."""
    rule = BreakoutRule
    previous_open, previous_high, previous_close = (
        FromContext(IndexName.PREVIOUS_MONTH, field) for field in ("open", "high", "close")
    )
    current_open = FromContext(IndexName.CURRENT_MONTH, "open")
    above = operator.gt
    graph = Graph("monthly breakout", "the price breaks out of the previous month's range")
    graph.add(
        Singleton(
            rule.PREVIOUS_MONTH_ROSE.value,
            above,
            (previous_close, previous_open),
            "previous month closed above its open",
        ),
        Singleton(
            rule.ABOVE_PREVIOUS_CLOSE.value,
            above,
            ("price", previous_close),
            "price is above the previous month's close",
        ),
        Singleton(
            rule.ABOVE_CURRENT_OPEN.value,
            above,
            ("price", current_open),
            "price is above the current month's open",
        ),
        Singleton(
            rule.ABOVE_PREVIOUS_HIGH.value,
            above,
            ("price", previous_high),
            "price is above the previous month's high",
        ),
    )
    graph.connect(rule.PREVIOUS_MONTH_ROSE.value, rule.ABOVE_PREVIOUS_CLOSE.value)
    graph.connect(rule.PREVIOUS_MONTH_ROSE.value, rule.ABOVE_CURRENT_OPEN.value)
    graph.connect(rule.ABOVE_PREVIOUS_CLOSE.value, rule.ABOVE_PREVIOUS_HIGH.value)
    graph.freeze()
    return Model(
        ModelId.MONTHLY_BREAKOUT,
        graph,
        author="qd",
        description="A trade breaks out when all four rules hold at once.",
    )


@dataclass(frozen=True, slots=True)
class Segment:
    """The trades of one month within an evaluation: rows `start` to `stop` (exclusive)."""

    start: int
    stop: int
    levels: Levels
    record: BatchEvaluation


@dataclass(frozen=True, slots=True, eq=False)
class BreakoutEvaluation:
    """What the model says of an array of trades.

    Attributes
    ----------
    rows : TRADE array, shape (trades,)
        What was evaluated; not copied.
    states : ndarray of uint8, shape (trades,)
        `State` of each trade: true (a breakout), false, not evaluated.
    rises, falls : ndarray of int
        Rows where the signal rises or falls against the trade before.
    firsts : ndarray of int
        Rows that are their month's first breakout.
    segments : tuple of Segment
        The same by months.
    """

    rows: Rows
    states: Codes
    rises: Index
    falls: Index
    firsts: Index
    segments: tuple[Segment, ...]

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def failed(self) -> Codes:
        """The first rule that failed, a `BreakoutRule`, for each trade; 0 where none did."""
        answer = np.zeros(len(self), dtype=np.uint8)
        for segment in self.segments:
            part = answer[segment.start : segment.stop]
            for rule in reversed(BreakoutRule):
                part[segment.record.node(rule.value) == State.FALSE] = rule
        return answer

    def trade(self, row: int) -> Evaluation:
        """The record of one trade, rule by rule."""
        segment = self._segment(row)
        return segment.record.row(row - segment.start)

    def explain(self, row: int) -> str:
        """One trade in words: each rule with its numbers, and the rule that failed."""
        record, trade = self.trade(row), self.rows[row]
        head = f"trade {trade['sequence']} at {_utc(int(trade['time']))}, price {trade['price']}"
        answer = {
            State.TRUE: "a breakout",
            State.FALSE: "no breakout",
        }.get(record.state, record.state.label)
        failed = [node for node in record.nodes if node.state is State.FALSE]
        because = f", because not: {'; '.join(node.description for node in failed)}"
        return f"{head}: {answer}{because if failed else ''}\n{record.explain()}"

    def alerts(
        self,
        exchange_id: int,
        symbol_id: int,
        policy: AlertPolicy = AlertPolicy.RISE,
        *,
        falls: bool = False,
    ) -> list[BreakoutAlert]:
        """The alerts of these trades, in their order.

        Parameters
        ----------
        exchange_id, symbol_id : int
            The market.
        policy : AlertPolicy
            Which breakouts raise an alert.
        falls : bool
            Also tell where the signal falls.
        """
        chosen = {
            AlertPolicy.RISE: self.rises,
            AlertPolicy.FIRST_OF_MONTH: self.firsts,
            AlertPolicy.EVERY_TRADE: np.flatnonzero(self.states == State.TRUE),
        }[policy]
        signals = [(row, Signal.ROSE) for row in chosen.tolist()]
        if falls:
            signals += [(row, Signal.FELL) for row in self.falls.tolist()]
        return [self._alert(exchange_id, symbol_id, row, sign) for row, sign in sorted(signals)]

    def _alert(self, exchange_id: int, symbol_id: int, row: int, signal: Signal) -> BreakoutAlert:
        sequence, time, price, _ = self.rows[row].item()
        levels = self._segment(row).levels
        return BreakoutAlert(
            symbol_id=symbol_id,
            exchange_id=exchange_id,
            signal=signal,
            model_id=ModelId.MONTHLY_BREAKOUT,
            date_time=time,
            price=price,
            sequence=sequence,
            previous_open=levels.previous_open,
            previous_high=levels.previous_high,
            previous_close=levels.previous_close,
            current_open=levels.current_open,
        )

    def _segment(self, row: int) -> Segment:
        for segment in self.segments:
            if segment.start <= row < segment.stop:
                return segment
        raise IndexError(f"trade {row} of {len(self)}")


class MonthlyBreakout:
    """The model at work on one market's stream.

    Feed it the trades in order, `evaluate` by `evaluate`; it keeps the context between.
    A refused array changes nothing.
    """

    def __init__(self) -> None:
        self.model = monthly_breakout_model()
        self.months = MonthlyContext()
        self._plan = self.model.causaloid.plan()
        # What rules read of the context changes only when it rolls.
        self._snapshot = snapshot_of(self._plan.from_contexts, (self.months.context,))
        self._levels = self.months.levels()
        self._last_sequence = 0
        self._last_time = TIME_MIN_US
        self._month_end = TIME_MIN_US  # the first microsecond after the current month
        self._true = False  # the last trade was a breakout
        self._true_this_month = False

    @property
    def last_sequence(self) -> int:
        """The sequence of the last trade that was evaluated; 0 before the first."""
        return self._last_sequence

    def evaluate(self, rows: Rows) -> BreakoutEvaluation:
        """Evaluate the next trades of the stream.

        Parameters
        ----------
        rows : TRADE array, shape (trades,)
            In order of sequence and time, after all that were evaluated before. The
            result keeps the array: do not change it afterwards.

        Raises
        ------
        TradesRefused
            For trades out of order or prices that are not finite.
        """
        if rows.dtype != TRADE or rows.ndim != 1:
            raise TradesRefused(f"trades have the layout {rows.dtype}; expected rows of {TRADE}")
        times = np.ascontiguousarray(rows["time"])
        prices = np.ascontiguousarray(rows["price"])
        self._check(rows, times, prices)
        segments, firsts = self._segments(times, prices)
        states = _joined([segment.record.states for segment in segments])
        rises, falls = self._changes(states)
        if len(rows):
            self._last_sequence = int(rows["sequence"][-1])
            self._last_time = int(times[-1])
        return BreakoutEvaluation(
            rows, states, rises, falls, np.array(firsts, dtype=np.intp), tuple(segments)
        )

    def _segments(
        self, times: npt.NDArray[np.int64], prices: Prices
    ) -> tuple[list[Segment], list[int]]:
        segments: list[Segment] = []
        firsts: list[int] = []
        start = 0
        while start < len(times):
            if times[start] >= self._month_end:
                self._roll(int(times[start]), float(prices[start]))
            # Most arrays lie within one month; only the last time need be looked at then.
            within = times[-1] < self._month_end
            stop = len(times) if within else int(np.searchsorted(times, self._month_end))
            part = prices[start:stop]
            record = evaluate_columns(self._plan, {"price": part}, self._snapshot)
            segments.append(Segment(start, stop, self._levels, record))
            self._note_first(start, record.states, firsts)
            self.months.extend(part)
            start = stop
        return segments, firsts

    def _roll(self, time: int, price: float) -> None:
        month = np.datetime64(time, "us").astype("datetime64[M]")
        self.months.begin_month(int(month.astype(np.int64)) + 12 * 1970, price)
        self._month_end = int((month + 1).astype("datetime64[us]").astype(np.int64))
        self._true_this_month = False
        self._snapshot = snapshot_of(self._plan.from_contexts, (self.months.context,))
        self._levels = self.months.levels()

    def _note_first(self, start: int, states: Codes, firsts: list[int]) -> None:
        if self._true_this_month:
            return
        true = states == TRUE
        first = int(true.argmax())
        if true[first]:
            self._true_this_month = True
            firsts.append(start + first)

    def _changes(self, states: Codes) -> tuple[Index, Index]:
        """Rows where the signal rises and falls; keeps the last one for the next array."""
        signal = np.empty(len(states) + 1, dtype=np.int8)
        signal[0] = self._true
        np.bitwise_and(states, TRUE, out=signal[1:].view(np.uint8))
        self._true = bool(signal[-1])
        change = np.flatnonzero(signal[1:] != signal[:-1])
        rose = signal[1:][change] == 1
        return change[rose], change[~rose]

    def _check(self, rows: Rows, times: npt.NDArray[np.int64], prices: Prices) -> None:
        if not len(rows):
            return
        sequences = rows["sequence"]
        self._check_order("sequence", sequences, self._last_sequence + 1)
        if not (sequences[1:] > sequences[:-1]).all():
            row = int(np.argmin(sequences[1:] > sequences[:-1]))
            raise _out_of_order("sequence", int(sequences[row]), int(sequences[row + 1]))
        self._check_order("time", times, self._last_time)
        if not (times[1:] >= times[:-1]).all():
            row = int(np.argmin(times[1:] >= times[:-1]))
            raise _out_of_order("time", int(times[row]), int(times[row + 1]))
        if times[-1] >= TIME_END_US:
            raise TradesRefused(f"a trade has the time {times[-1]}; expected one before year 10000")
        finite = np.isfinite(prices)
        if not finite.all():
            row = int(np.argmin(finite))
            raise TradesRefused(
                f"trade {sequences[row]} has the price {prices[row]}; expected a finite number"
            )

    def _check_order(self, name: str, values: npt.NDArray[np.int64], least: int) -> None:
        if values[0] < least:
            raise TradesRefused(
                f"the first trade has the {name} {values[0]}; expected {least} or later, "
                "after those evaluated before"
            )


def _out_of_order(name: str, before: int, after: int) -> TradesRefused:
    return TradesRefused(f"{name} {after} comes after {before}; expected trades in order")


def _joined(parts: list[Codes]) -> Codes:
    if len(parts) == 1:
        return parts[0]
    return np.concatenate([np.zeros(0, dtype=np.uint8), *parts])


def _utc(time_us: int) -> str:
    return f"{np.datetime64(time_us, 'us')}Z"
