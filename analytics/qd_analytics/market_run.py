"""A model's run over one market: checked trades in, alerts out. No I/O.

The service and the backtest both run models through this, so that they say the same. It
holds what is the same for all models: the order of trades, the signal, its alerts, errors.
"""

from __future__ import annotations

import json
import math
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NoReturn

import numpy as np
import numpy.typing as npt

from qd_analytics.causal.errors import AnalyticsError
from qd_analytics.causal.saved_values import flag, number, text, whole
from qd_analytics.causal.states import State
from qd_analytics.errors import ModelFailed, StateUnusable, TradesRefused
from qd_analytics.models.calendar import TIME_END_US, TIME_MIN_US
from qd_analytics.models.loading import Chosen
from qd_analytics.models.periodic import PeriodMarket
from qd_analytics.models.protocol import LEVELS_MAX, FrameEvaluation, Levels
from qd_analytics.models.signals import (
    NO_CHANGES,
    Changes,
    SignalState,
    change_of,
    changes_of,
    told,
)
from qd_analytics.one_by_one import one_by_one
from qd_schemas.arrays import TRADE, Rows
from qd_schemas.enums import Signal
from qd_schemas.messages import BreakoutAlert

STATE_VERSION: Final = 1

_NAN: Final = float("nan")
_TRUE: Final = State.TRUE  # looked up once: an enum's class takes a while to find a member
_HIGHEST_ANSWER: Final = int(State.FALSE)


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """What a model says of an array of trades, and what is told of it.

    Attributes
    ----------
    rows : TRADE array
        The trades.
    evaluation : FrameEvaluation
        What the model says of each.
    changes : Changes
        Where the signal rises and falls.
    alerts : list of BreakoutAlert
        In order of the trades.
    failure : str
        Why the model has no answer to a trade; the alerts before it count. Empty where it has.
    """

    rows: Rows
    evaluation: FrameEvaluation
    changes: Changes
    alerts: list[BreakoutAlert]
    failure: str = ""


class MarketRun:
    """A model at work on one market's stream.

    Parameters
    ----------
    chosen : Chosen
        The model, and which of its answers raise an alert.
    exchange_id, symbol_id : int
        The market, as alerts name it.

    Attributes
    ----------
    last_sequence : int
        Of the trades so far; 0 before the first.
    last_time : int
        Of the last trade, microseconds since the epoch.
    """

    def __init__(self, chosen: Chosen, exchange_id: int, symbol_id: int) -> None:
        self.chosen = chosen
        self.exchange_id = exchange_id
        self.symbol_id = symbol_id
        self.last_sequence = 0
        self.last_time = TIME_MIN_US
        self.last_price = _NAN
        self._model = chosen.model
        self._market = chosen.model.market()
        self._signal = SignalState()
        self._is_quiet = chosen.alerting.is_quiet
        self._failed = ""

    def evaluate(self, rows: Rows) -> Judged:
        """Evaluate the next trades.

        Parameters
        ----------
        rows : TRADE array, shape (trades,)
            In order; any number but none.

        Returns
        -------
        Judged
            Read its `failure`: a model that failed takes no more trades. Where its own code
            raised, these are the trades before the one at which it did.

        Raises
        ------
        TradesRefused
            For trades out of order, or prices that are not finite; nothing has changed then.
        ModelFailed
            The model's own code raised at the first of them.
        """
        self._check(rows)
        rows, evaluation, answered, failure = self._evaluated(rows)
        states, starts = evaluation.states, evaluation.starts
        if failure:
            states, starts = states[:answered], starts[starts < answered]
            self._failed = failure
        changes = changes_of(states, starts, self._signal) if len(states) else NO_CHANGES
        alerts = [
            self._alert(rows[row].item(), sign, evaluation.levels(row))
            for row, sign in told(states, changes, self.chosen.alerting)
        ]
        last = rows[-1]
        self.last_sequence, self.last_time = int(last["sequence"]), int(last["time"])
        self.last_price = float(last["price"])
        return Judged(rows, evaluation, changes, alerts, failure)

    def evaluate_trade(
        self, sequence: int, time: int, price: float, volume: float
    ) -> tuple[State, list[BreakoutAlert]]:
        """Evaluate one trade; the same as an array of it alone, and faster.

        Returns
        -------
        State and list of BreakoutAlert
            What the model says, and what is told of it.

        Raises
        ------
        TradesRefused, ModelFailed
            As `evaluate`; an answer that is an error raises, too.
        """
        if not (
            sequence > self.last_sequence
            and self.last_time <= time < TIME_END_US
            and price - price == 0.0
            and not self._failed
        ):
            return self._evaluate_slowly(sequence, time, price, volume)
        market = self._market
        before = market.period
        try:
            state = market.evaluate_trade(sequence, time, price, volume)
            starts = market.period != before
        except Exception as error:  # a model is users' code
            self._raise(error, f"trade {sequence}")
        if state > _HIGHEST_ANSWER:
            self._failed = (
                f"model {self._model.name} has no answer to trade {sequence}: {State(state).label}"
            )
            raise ModelFailed(self._failed)
        self.last_sequence, self.last_time, self.last_price = sequence, time, price
        signal = self._signal
        same = (state is _TRUE) is signal.is_true and not starts
        if same and (self._is_quiet or not signal.is_true):
            return state, []
        sign = self.chosen.alerting.sign(state, change_of(state, starts, signal))
        if sign is None:
            return state, []
        trade = (sequence, time, price, volume)
        return state, [self._alert(trade, sign, market.levels())]

    def _evaluate_slowly(
        self, sequence: int, time: int, price: float, volume: float
    ) -> tuple[State, list[BreakoutAlert]]:
        """What is refused is refused in the same words as in arrays."""
        judged = self.evaluate(np.array([(sequence, time, price, volume)], dtype=TRADE))
        if judged.failure:
            raise ModelFailed(judged.failure)
        return State(int(judged.evaluation.states[0])), judged.alerts

    # Saved and restored

    def to_json(self) -> dict[str, Any]:
        """All that is needed to go on, as plain data."""
        return {
            "version": STATE_VERSION,
            "fingerprint": self.chosen.fingerprint,
            "sequence": self.last_sequence,
            "time": self.last_time,
            "price": self.last_price if self.last_sequence else 0.0,
            "is_true": self._signal.is_true,
            "was_true": self._signal.was_true,
            "market": dict(self._market.to_json()),
        }

    def restore(self, saved: Mapping[str, Any]) -> None:
        """Go on from what `to_json` gave; only before the first trade.

        Raises
        ------
        StateUnusable
            It is damaged, or another model's; nothing has changed then.
        """
        if saved.get("version") != STATE_VERSION or (
            saved.get("fingerprint") != self.chosen.fingerprint
        ):
            raise StateUnusable(
                f"the saved state is not of model {self._model.name} with these settings"
            )
        try:
            text(saved["fingerprint"])
            sequence, time = whole(saved["sequence"]), whole(saved["time"])
            price = number(saved["price"])
            signal = SignalState(flag(saved["is_true"]), flag(saved["was_true"]))
            market = self._model.market(saved["market"])
        except StateUnusable:
            raise
        except Exception as error:  # whatever a model says to what it did not write
            raise StateUnusable(f"the saved state is damaged ({error!r:.200})") from None
        self.last_sequence, self.last_time, self.last_price = sequence, time, price
        self._signal, self._market = signal, market

    # Help

    def _evaluated(self, rows: Rows) -> tuple[Rows, FrameEvaluation, int, str]:
        """Trades, what the model says of them, how many have an answer, and why not all."""
        before = self._kept(rows)
        try:
            evaluation = self._market.evaluate(rows)
            failure = self._failure(rows, evaluation)
            answered = _first_failure(evaluation.states) if failure else len(rows)
            return rows, evaluation, answered, failure
        except Exception as error:  # a model is users' code
            if before is None:
                self._raise(error, _where(rows))
            try:
                self._market = self._model.market(json.loads(before))
            except Exception:  # what it raised at first says more
                self._raise(error, _where(rows))
        alone, wrong = one_by_one(self._market, rows, self._failure)
        answered = len(alone.parts)
        if isinstance(wrong, Exception):
            wrong = self._told(wrong, _where(rows[answered : answered + 1]))
        if not answered:
            self._failed = wrong
            raise ModelFailed(wrong)
        return rows[:answered], alone, answered, wrong

    def _kept(self, rows: Rows) -> str | None:
        """Where the market is, so that it can go back there; None where it would not help."""
        # What raises within a `PeriodMarket` is an answer of its own: `State.ERROR`.
        if len(rows) == 1 or type(self._market) is PeriodMarket:
            return None
        try:
            return json.dumps(self._market.to_json())
        except Exception:  # told when it is to be saved
            return None

    def _alert(self, trade: tuple[Any, ...], signal: Signal, levels: Levels) -> BreakoutAlert:
        sequence, time, price, _ = trade
        return BreakoutAlert(
            self.symbol_id,
            self.exchange_id,
            signal,
            self._model.id,
            time,
            price,
            sequence,
            *levels,
            *[_NAN] * (LEVELS_MAX - len(levels)),
        )

    def _failure(self, rows: Rows, evaluation: FrameEvaluation) -> str:
        states = evaluation.states
        if states.shape != rows.shape or states.dtype != np.uint8:
            return (
                f"model {self._model.name} gave states of shape {states.shape} and {states.dtype}; "
                f"expected {rows.shape} and uint8"
            )
        if np.maximum.reduce(states) <= _HIGHEST_ANSWER:
            return ""
        row = _first_failure(states)
        return (
            f"model {self._model.name} has no answer to trade {rows['sequence'][row]}: "
            f"{evaluation.explain(row)}"
        )

    def _raise(self, error: Exception, where: str) -> NoReturn:
        self._failed = self._told(error, where)
        raise ModelFailed(self._failed) from error

    def _told(self, error: Exception, where: str) -> str:
        frames = traceback.extract_tb(error.__traceback__)
        at = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}"
        kind = "" if isinstance(error, AnalyticsError) else f"{type(error).__name__}: "
        return f"model {self._model.name} failed at {where} ({at}): {kind}{error}"

    def _check(self, rows: Rows) -> None:
        if self._failed:
            raise ModelFailed(self._failed)
        if rows.dtype != TRADE or rows.ndim != 1 or not len(rows):
            raise TradesRefused(
                f"trades have the layout {rows.dtype} and the shape {rows.shape}; "
                f"expected rows of {TRADE}, at least one"
            )
        sequences, times = rows["sequence"], rows["time"]
        _check_order("sequence", sequences, self.last_sequence + 1, strictly=True)
        _check_order("time", times, self.last_time, strictly=False)
        if times[-1] >= TIME_END_US:
            raise TradesRefused(f"a trade has the time {times[-1]}; expected one before year 10000")
        prices = rows["price"]
        # The sum is finite where all are, but for prices that are too large to be added.
        if not math.isfinite(np.add.reduce(prices)) and not np.isfinite(prices).all():
            row = int(np.argmin(np.isfinite(prices)))
            raise TradesRefused(
                f"trade {sequences[row]} has the price {prices[row]}; expected a finite number"
            )


def _where(rows: Rows) -> str:
    first, last = rows["sequence"][0], rows["sequence"][-1]
    return f"trade {first}" if first == last else f"trades {first} to {last}"


def _first_failure(states: npt.NDArray[np.uint8]) -> int:
    """The first row without an answer; 0 where the states are not of the rows at all."""
    return int((states > _HIGHEST_ANSWER).argmax()) if states.ndim == 1 else 0


def _check_order(name: str, values: npt.NDArray[np.int64], least: int, *, strictly: bool) -> None:
    if values[0] < least:
        raise TradesRefused(
            f"the first trade has the {name} {values[0]}; expected {least} or later, "
            "after those evaluated before"
        )
    before, after = values[:-1], values[1:]
    ordered = after > before if strictly else after >= before
    if not np.logical_and.reduce(ordered):
        row = int(ordered.argmin())
        raise TradesRefused(
            f"{name} {after[row]} comes after {before[row]}; expected trades in order"
        )
