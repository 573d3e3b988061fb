"""One market's rows against what is said of them: tables of rows and findings, no database."""

from __future__ import annotations

import numpy as np
import pytest

from qd_schemas.arrays import TRADE, Rows
from qd_schemas.enums import Resolution
from qd_store.administration.soundness import (
    EXAMPLES_MAX,
    MARK,
    BarCheck,
    Findings,
    Problem,
    Symbol,
    TradeCheck,
    compare_marks,
)

MINUTE = 60_000_000


def trades(sequences: list[int], times: list[int] | None = None) -> Rows:
    rows = np.zeros(len(sequences), TRADE)
    rows["sequence"] = sequences
    rows["time"] = np.array(times if times is not None else sequences, np.int64) * MINUTE
    rows["price"], rows["volume"] = 10.0, 0.1
    return rows


def symbol_of(rows: Rows, **changed: int | None) -> Symbol:
    said: dict[str, int | None] = {
        "trades": len(rows),
        "first_time": int(rows["time"][0]),
        "last_time": int(rows["time"][-1]),
        "bars_sequence": len(rows),
        "bars_time": int(rows["time"][-1]),
    }
    return Symbol("kraken", "XBTUSD", 65_537, **{**said, **changed})  # type: ignore[arg-type]


def found(rows: Rows, symbol: Symbol, cuts: list[int]) -> Findings:
    findings = Findings()
    check = TradeCheck(symbol, findings)
    for block in np.split(rows, cuts):
        if len(block):
            check.feed(block)
    marks = np.zeros(1, MARK)
    marks["sequence"], marks["time"] = 1, MINUTE
    check.finish(marks)
    return findings


@pytest.mark.parametrize("cuts", [[], [1], [2], [3], [1, 2, 3, 4]])
@pytest.mark.parametrize(
    ("sequences", "times", "problems"),
    [
        ([1, 2, 3, 4, 5], None, {}),
        ([1, 2, 4, 5], None, {Problem.SEQUENCE: 1}),
        ([1, 2, 2, 3, 4], [1, 2, 3, 4, 5], {Problem.SEQUENCE: 1}),
        ([1, 3, 2, 4, 5], [1, 2, 3, 4, 5], {Problem.SEQUENCE: 2, Problem.ORDER: 1}),
        ([1, 2, 3, 4, 5], [1, 2, 3, 1, 5], {Problem.ORDER: 1}),
    ],
)
def test_sequences_and_order_wherever_blocks_end(
    cuts: list[int], sequences: list[int], times: list[int] | None, problems: dict[Problem, int]
) -> None:
    rows = trades(sequences, times)
    said = symbol_of(rows, trades=max(sequences))
    counts = found(rows, said, cuts).counts
    wanted = {Problem.SEQUENCE, Problem.ORDER}
    assert {each: count for each, count in counts.items() if count and each in wanted} == problems


def test_many_findings_are_counted_and_few_told() -> None:
    rows = trades(list(range(1, 4_000, 2)))
    findings = found(rows, symbol_of(rows), [100, 1_000])
    assert findings.counts[Problem.SEQUENCE] == 1_999
    assert len(findings.texts[Problem.SEQUENCE]) == EXAMPLES_MAX


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("price", value) for value in (np.nan, np.inf, 0.0, -1.0)),
        *(("volume", value) for value in (np.nan, np.inf, -1.0, -0.0)),
    ],
)
def test_values_that_no_trade_has(field: str, value: float) -> None:
    rows = trades([1, 2, 3])
    rows[field][1] = value
    assert found(rows, symbol_of(rows), []).counts[Problem.VALUE] == 1


def test_zero_volume_is_a_trades() -> None:
    rows = trades([1, 2, 3])
    rows["volume"][1] = 0.0
    assert not found(rows, symbol_of(rows), []).counts[Problem.VALUE]


@pytest.mark.parametrize(
    "said",
    [{"trades": 2}, {"first_time": 5}, {"last_time": None}, {"bars_time": 7}, {"bars_sequence": 9}],
)
def test_counts_that_are_not_so(said: dict[str, int | None]) -> None:
    rows = trades([1, 2, 3])
    findings = found(rows, symbol_of(rows, **said), [])
    assert findings.counts[Problem.COUNT] >= 1
    assert not findings.counts[Problem.SEQUENCE]


def test_an_empty_market_is_sound() -> None:
    findings = Findings()
    TradeCheck(Symbol("kraken", "XBTUSD", 65_537, 0, None, None, 0, None), findings).finish(
        np.empty(0, MARK)
    )
    assert not findings.counts


def test_marks() -> None:
    expected = np.array([(1, 10), (8_193, 20)], MARK)
    stored = np.array([(1, 11), (5, 12)], MARK)
    findings = Findings()
    compare_marks(expected, expected, findings)
    assert not findings.counts
    compare_marks(expected, stored, findings)
    assert findings.counts[Problem.MARK] == 3


def test_a_bar_is_wrong_by_its_last_bit() -> None:
    rows = trades([1, 2, 3, 4])
    findings = Findings()
    check = BarCheck(symbol_of(rows), findings)
    check.feed(rows)
    (bar,) = (bars for bars in check.finish()[5:6])
    check.compare(Resolution.D1, bar, bar)
    assert not findings.counts
    spoiled = bar.copy()
    spoiled["volume"] = np.nextafter(spoiled["volume"], 1)
    check.compare(Resolution.D1, bar, spoiled)
    check.compare(Resolution.D1, bar, bar[:0])
    check.compare(Resolution.D1, bar[:0], bar)
    check.compare(Resolution.D1, bar, np.concatenate((bar, bar)))
    texts = findings.texts[Problem.BAR]
    assert [text.split("Z ")[-1].split()[0] for text in texts] == ["has", "is", "is", "a"]
    assert findings.counts[Problem.BAR] == 4
