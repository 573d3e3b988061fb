"""One market's trades, marks, counts and bars against each other. Pure: arrays in, findings out.

What follows from the trades (marks, counts, bars) is made anew of them as they pass, and
compared with what is stored to the last bit. Memory is that of a block, and of the marks, of
which there is one for thousands of trades.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from qd_schemas.arrays import Rows
from qd_schemas.bars import CHAIN, bar_ends
from qd_schemas.enums import Resolution
from qd_store.tables.bars import STORED_BAR, BarLadder
from qd_store.tables.writer import MARK_EVERY

EXAMPLES_MAX: Final = 5
"""How many findings of one kind are told of each market; all are counted."""

MARK: Final[np.dtype[np.void]] = np.dtype([("sequence", "<i8"), ("time", "<i8")])


class Problem(StrEnum):
    """What may be wrong with a market."""

    ORDER = "order"
    """Times fall while sequences rise."""
    SEQUENCE = "sequence"
    """A sequence is missing, or there more than once."""
    VALUE = "value"
    """A price or volume that no trade has."""
    COUNT = "count"
    """What the market's row of `symbol` says is not so."""
    MARK = "mark"
    """A mark is missing, wrong, or too much."""
    BAR = "bar"
    """A stored bar is missing, wrong, or too much."""

    @property
    def is_repairable(self) -> bool:
        """Whether it follows from the trades, which are sound."""
        return self in (Problem.COUNT, Problem.MARK, Problem.BAR)


@dataclass(frozen=True, slots=True)
class Symbol:
    """A market's row of `symbol`; times in microseconds since the epoch."""

    exchange: str
    symbol: str
    market: int
    trades: int
    first_time: int | None
    last_time: int | None
    bars_sequence: int
    bars_time: int | None

    @property
    def has_all_bars(self) -> bool:
        """Whether all stored bars are right, also those that are not final."""
        return self.bars_sequence >= self.trades


@dataclass(slots=True)
class Findings:
    """What was found wrong: all counted, some kept as text."""

    counts: Counter[Problem] = field(default_factory=Counter)
    texts: dict[Problem, list[str]] = field(default_factory=dict)

    def add(self, problem: Problem, text: str) -> None:
        """Note one finding."""
        self.counts[problem] += 1
        kept = self.texts.setdefault(problem, [])
        if len(kept) < EXAMPLES_MAX:
            kept.append(text)

    @property
    def is_numbered(self) -> bool:
        """Whether every sequence so far is where it belongs."""
        return not (self.counts[Problem.ORDER] or self.counts[Problem.SEQUENCE])

    def add_many(self, problem: Problem, count: int, texts: Iterator[str]) -> None:
        """Note many at once; only as many texts are made as are kept."""
        if count:
            self.counts[problem] += count
            kept = self.texts.setdefault(problem, [])
            kept.extend(
                text for text, _ in zip(texts, range(EXAMPLES_MAX - len(kept)), strict=False)
            )


class TradeCheck:
    """Looks at a market's trades, in the order of (time, sequence)."""

    def __init__(self, symbol: Symbol, findings: Findings) -> None:
        self._symbol = symbol
        self._findings = findings
        self._last: Rows | None = None
        self._first_time: int | None = None
        self._bars_time: int | None = None
        self._marks: list[Rows] = []
        self.rows = 0

    def feed(self, rows: Rows) -> None:
        """Take the next trades, at least one."""
        if self._first_time is None:
            self._first_time = int(rows["time"][0])
        self._check_sequences(rows)
        self._check_values(rows)
        is_marked = rows["sequence"] % MARK_EVERY == 1
        self._marks.append(_marks(rows[is_marked]))
        at_bars = rows["time"][rows["sequence"] == self._symbol.bars_sequence]
        if len(at_bars):
            self._bars_time = int(at_bars[0])
        self._last = rows[-1:].copy()
        self.rows += len(rows)

    def finish(self, stored_marks: Rows) -> None:
        """Compare the totals, and the marks, all of them."""
        symbol, findings = self._symbol, self._findings
        last = 0 if self._last is None else int(self._last["sequence"][0])
        if symbol.trades > last:
            findings.add(Problem.SEQUENCE, f"sequences {last + 1} to {symbol.trades} are not there")
        last_time = None if self._last is None else int(self._last["time"][0])
        for name, said, found in (
            ("trades", symbol.trades, self.rows),
            ("first_time", symbol.first_time, self._first_time),
            ("last_time", symbol.last_time, last_time),
            ("bars_time", symbol.bars_time, self._bars_time),
        ):
            if said != found:
                findings.add(
                    Problem.COUNT,
                    f"{name} is {_shown(name, said)}, of trades {_shown(name, found)}",
                )
        if symbol.bars_sequence > symbol.trades:
            findings.add(
                Problem.COUNT,
                f"bars_sequence is {symbol.bars_sequence}, past the last of {symbol.trades} trades",
            )
        compare_marks(np.concatenate([np.empty(0, MARK), *self._marks]), stored_marks, findings)

    def _check_sequences(self, rows: Rows) -> None:
        sequences, times = rows["sequence"], rows["time"]
        before = 0 if self._last is None else int(self._last["sequence"][0])
        steps = np.diff(sequences, prepend=before)
        wrong = np.flatnonzero(steps != 1)
        for index in wrong[:EXAMPLES_MAX]:
            previous = before if index == 0 else int(sequences[index - 1])
            problem, text = _step(previous, int(sequences[index]), int(times[index]))
            self._findings.add(problem, text)
        rest = steps[wrong[EXAMPLES_MAX:]]
        self._findings.counts.update(
            {
                Problem.ORDER: int((rest < 0).sum()),
                Problem.SEQUENCE: int((rest >= 0).sum()),
            }
        )
        fallen = np.flatnonzero(np.diff(times, prepend=times[:1]) < 0)
        if self._last is not None and times[0] < self._last["time"][0]:
            fallen = np.concatenate(([0], fallen))
        self._findings.add_many(
            Problem.ORDER,
            len(fallen),
            (f"the time falls at sequence {sequences[i]}, {iso(int(times[i]))}" for i in fallen),
        )

    def _check_values(self, rows: Rows) -> None:
        price, volume = rows["price"], rows["volume"]
        bad = ~(np.isfinite(price) & (price > 0) & np.isfinite(volume) & (volume >= 0))
        bad |= np.signbit(volume)
        wrong = np.flatnonzero(bad)
        self._findings.add_many(
            Problem.VALUE,
            len(wrong),
            (
                f"sequence {rows['sequence'][i]} has price {price[i]} and volume {volume[i]}"
                for i in wrong
            ),
        )


class BarCheck:
    """Makes a market's bars of its trades, and compares stored ones with them."""

    def __init__(self, symbol: Symbol, findings: Findings) -> None:
        self._symbol = symbol
        self._findings = findings
        self._ladder = BarLadder()

    def feed(self, rows: Rows) -> list[Rows]:
        """Take the next trades; the bars that must be stored, of each resolution of `CHAIN`."""
        return self._due(self._ladder.feed(rows))

    def finish(self) -> list[Rows]:
        """The last bars that must be stored, those that are not final included."""
        last = self._ladder.unfinished()
        return last if self._symbol.has_all_bars else self._due(last)

    def compare(self, resolution: Resolution, expected: Rows, stored: Rows) -> None:
        """Compare bars made with those stored between the same times."""
        if len(expected) == len(stored) and (_bits(expected) == _bits(stored)).all():
            return
        find = self._findings
        label = resolution.label
        made, kept = expected["time"], stored["time"]
        for times, what in (
            (np.setdiff1d(made, kept), "is missing"),
            (np.setdiff1d(kept, made), "is of no trade"),
        ):
            find.add_many(
                Problem.BAR, len(times), (f"the {label} bar of {iso(int(t))} {what}" for t in times)
            )
        unique, first = np.unique(kept, return_index=True)
        find.add_many(Problem.BAR, len(kept) - len(unique), iter([f"a {label} bar is there twice"]))
        both, at_made, at_kept = np.intersect1d(made, unique, return_indices=True)
        pairs = expected[at_made], stored[first[at_kept]]
        wrong = np.flatnonzero((_bits(pairs[0]) != _bits(pairs[1])).any(axis=1))
        find.add_many(
            Problem.BAR,
            len(wrong),
            (
                f"the {label} bar of {iso(int(both[i]))} {_difference(pairs[0][i], pairs[1][i])}"
                for i in wrong
            ),
        )

    def _due(self, bars: list[Rows]) -> list[Rows]:
        """Of bars whose interval is over, those that must be stored."""
        if self._symbol.has_all_bars:
            return bars
        until = self._symbol.bars_time
        if until is None:
            return [rows[:0] for rows in bars]
        return [
            rows[bar_ends(level, np.ascontiguousarray(rows["time"])) <= until]
            for level, rows in zip(CHAIN, bars, strict=True)
        ]


def compare_marks(expected: Rows, stored: Rows, findings: Findings) -> None:
    """Compare the marks made of trades with those stored, both in order."""
    if len(expected) == len(stored) and (expected == stored).all():
        return
    made = {int(row["sequence"]): int(row["time"]) for row in expected}
    kept = {int(row["sequence"]): int(row["time"]) for row in stored}
    for sequence in sorted(made.keys() | kept.keys()):
        if sequence not in kept:
            findings.add(Problem.MARK, f"the mark of sequence {sequence} is missing")
        elif sequence not in made:
            findings.add(Problem.MARK, f"the mark of sequence {sequence} is of no trade")
        elif made[sequence] != kept[sequence]:
            found, expected_time = iso(kept[sequence]), iso(made[sequence])
            findings.add(
                Problem.MARK,
                f"the mark of sequence {sequence} says {found}, its trade {expected_time}",
            )


def iso(time: int) -> str:
    """Microseconds since the epoch for people."""
    return f"{np.datetime64(time, 'us')}Z"


def _marks(rows: Rows) -> Rows:
    marks = np.empty(len(rows), MARK)
    marks["sequence"], marks["time"] = rows["sequence"], rows["time"]
    return marks


def _step(before: int, sequence: int, time: int) -> tuple[Problem, str]:
    """What is wrong where a sequence does not follow the one before."""
    if sequence == before:
        return Problem.SEQUENCE, f"sequence {sequence} is there twice"
    if sequence < before:
        return (
            Problem.ORDER,
            f"sequence {sequence} of {iso(time)} comes after sequence {before}: its time is later",
        )
    if sequence == before + 2:
        return Problem.SEQUENCE, f"sequence {before + 1} is missing before {sequence}"
    return (
        Problem.SEQUENCE,
        f"sequences {before + 1} to {sequence - 1} are missing before {sequence}",
    )


def _bits(rows: Rows) -> NDArray[np.uint64]:
    """Bars as rows of 64-bit words: a sum must agree to the last bit, and -0.0 is not 0.0."""
    return (
        np.ascontiguousarray(rows).view(np.uint64).reshape(len(rows), len(STORED_BAR.names or ()))
    )


def _difference(expected: Rows, stored: Rows) -> str:
    """Where two bars of one time differ."""
    names = STORED_BAR.names or ()
    parts = [
        f"{name} {stored[name].item()!r}, of trades {expected[name].item()!r}"
        for name in names
        if expected[name].tobytes() != stored[name].tobytes()
    ]
    return f"has {'; '.join(parts)}"


def _shown(name: str, value: int | None) -> str:
    if value is None:
        return "nothing"
    return iso(value) if name.endswith("_time") else str(value)
