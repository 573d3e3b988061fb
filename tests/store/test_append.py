"""Live trades onto a market: they may come again, and nothing else than what follows is taken."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import psycopg
import pytest

from qd_schemas.arrays import Rows
from qd_store import append as appending
from qd_store.append import Appended, MarketAppender
from qd_store.connections import connect
from qd_store.errors import (
    SequenceGap,
    TradesDiffer,
    TradesInvalid,
    TradesOutOfOrder,
    UnknownExchange,
)
from qd_store.imports import FileState, ImportReport
from qd_store.migrate import migrate
from support.markets import generated, write_csv

Importer = Callable[..., ImportReport]
Stored = Callable[[str], list[tuple[int, int, float, float]]]
COUNT = 20_000
TRADES = generated(seed=11, count=COUNT)


@pytest.fixture
def own(dsn: str) -> str:
    """A migrated database."""
    with connect(dsn) as connection:
        migrate(connection)
    return dsn


def changed(rows: Rows, index: int, **values: float) -> Rows:
    rows = rows.copy()
    for name, value in values.items():
        rows[name][index] = value
    return rows


def test_pieces_that_overlap_make_one_market(own: str, stored: Stored) -> None:
    chance = np.random.default_rng(1)
    with MarketAppender.open(own, "kraken", "XBTEUR") as live:
        assert live.last_sequence() == 0
        last = 0
        while last < COUNT:
            first = int(chance.integers(max(last - 9_000, 0), last + 1))
            end = min(first + int(chance.integers(1, 12_000)), COUNT)
            got = live.append(TRADES[first:end])
            assert got == Appended(max(end - last, 0), min(end, last) - first, max(last, end))
            last = got.last_sequence
        assert live.last_sequence() == COUNT
    assert stored("XBTEUR") == TRADES.tolist()


def test_nothing_is_no_trade(own: str) -> None:
    with MarketAppender.open(own, 1, "XBTEUR") as live:
        assert live.append(TRADES[:0]) == Appended(0, 0, 0)
        assert live.append(TRADES[:1]) == Appended(1, 0, 1)
        assert live.append(TRADES[:0]) == Appended(0, 0, 1)


REFUSED = {
    "before the first": (changed(TRADES[:1], 0, sequence=0), SequenceGap, "expected at most 101"),
    "a gap before": (TRADES[101:103], SequenceGap, "expected at most 101"),
    "a gap among": (TRADES[[99, 100, 102]], SequenceGap, "sequence 101 is followed by 103"),
    "another price": (changed(TRADES[90:102], 3, price=7.0), TradesDiffer, "trade 94 is stored"),
    "another time": (changed(TRADES[90:102], 3, time=TRADES["time"][95]), TradesDiffer, "trade 94"),
    "a time that falls": (
        changed(TRADES[100:103], 2, time=TRADES["time"][99]),
        TradesOutOfOrder,
        "must come in time order",
    ),
    "a time before the stored": (
        changed(TRADES[100:103], 0, time=TRADES["time"][0]),
        TradesOutOfOrder,
        "none before the last stored",
    ),
    "a price of zero": (changed(TRADES[100:103], 1, price=0), TradesInvalid, "is no trade"),
    "no number": (changed(TRADES[100:103], 1, price=np.nan), TradesInvalid, "is no trade"),
    "a negative volume": (changed(TRADES[100:103], 1, volume=-1), TradesInvalid, "is no trade"),
    "seconds": (changed(TRADES[100:103], 0, time=1_514_764_802), TradesInvalid, "microseconds"),
    "other columns": (TRADES[["time", "price"]][100:103], TradesInvalid, "expected TRADE"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_changes_nothing(own: str, stored: Stored, name: str) -> None:
    rows, error, text = REFUSED[name]
    with MarketAppender.open(own, "kraken", "XBTEUR") as live:
        live.append(TRADES[:100])
        with pytest.raises(error, match=text) as caught:
            live.append(rows)
        if isinstance(caught.value, SequenceGap):
            assert caught.value.next_sequence in (101, 102)
        assert stored("XBTEUR") == TRADES[:100].tolist()
        assert live.append(TRADES[:200]) == Appended(100, 100, 200)


def test_a_minus_zero_is_a_zero(own: str) -> None:
    with MarketAppender.open(own, "kraken", "XBTEUR") as live:
        live.append(changed(TRADES[:1], 0, volume=-0.0))
        assert live.append(changed(TRADES[:1], 0, volume=0.0)).known == 1
    with psycopg.connect(own) as connection:
        assert connection.execute("SELECT volume::text FROM trade").fetchall() == [("0",)]


def test_an_unknown_exchange(own: str) -> None:
    with (
        pytest.raises(UnknownExchange, match="known are"),
        MarketAppender.open(own, "mtgox", "XBTEUR"),
    ):
        pass


def test_live_trades_and_exports_in_turns(
    own: str, importer: Importer, stored: Stored, tmp_path: Path
) -> None:
    for folder, end in (("a", 5_000), ("b", 15_000)):
        (tmp_path / folder).mkdir()
        write_csv(TRADES[:end], tmp_path / folder / "XBTEUR.csv")
    importer(tmp_path / "a" / "XBTEUR.csv")
    with MarketAppender.open(own, "kraken", "XBTEUR") as live:
        assert live.append(TRADES[4_000:9_000]) == Appended(4_000, 1_000, 9_000)
    (later,) = importer(tmp_path / "b" / "XBTEUR.csv").files
    assert (later.state, later.rows, later.known) == (FileState.APPENDED, 6_000, 9_000)
    with MarketAppender.open(own, "kraken", "XBTEUR") as live:
        assert live.append(TRADES[10_000:]) == Appended(5_000, 5_000, COUNT)
    assert stored("XBTEUR") == TRADES.tolist()


def test_several_appenders_of_the_same_trades(own: str, stored: Stored) -> None:
    together = threading.Barrier(3)

    def run(_: int) -> int:
        with MarketAppender.open(own, "kraken", "XBTEUR") as live:
            together.wait()
            cuts = range(0, 3_000, 500)
            return sum(live.append(TRADES[start : start + 500]).added for start in cuts)

    with ThreadPoolExecutor(3) as pool:
        assert sum(pool.map(run, range(3))) == 3_000
    assert stored("XBTEUR") == TRADES[:3_000].tolist()


def behind(dsn: str) -> int:
    with psycopg.connect(dsn) as connection:
        row = connection.execute("SELECT sum(trades - bars_sequence) FROM symbol").fetchone()
    assert row is not None
    return int(row[0])


def test_stored_bars_follow(own: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(appending, "BARS_BEHIND_TRADES_MAX", 1_000)
    with MarketAppender.open(own, "kraken", "XBTEUR") as live:
        for start in range(0, 5_000, 500):
            live.append(TRADES[start : start + 500])
            assert behind(own) <= 1_500
    assert behind(own) == 0
