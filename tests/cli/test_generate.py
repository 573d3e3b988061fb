"""Generated markets: always the same, in Kraken's layout, with rows that no import accepts."""

from __future__ import annotations

from pathlib import Path

import pytest

from qd_cli.generate import END_SECONDS, MARKETS_MAX, START_SECONDS, SYMBOLS, generate_market
from support.reference import lines_of, parsed, rises, trades_of


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    first = generate_market(tmp_path, 1, trades=3_000, seed=5).path.read_bytes()
    assert generate_market(tmp_path, 1, trades=3_000, seed=5).path.read_bytes() == first
    assert generate_market(tmp_path, 1, trades=3_000, seed=6).path.read_bytes() != first


def test_markets_differ_and_have_their_own_names(tmp_path: Path) -> None:
    found = [generate_market(tmp_path, index, trades=500, seed=1) for index in range(3)]
    assert [market.symbol for market in found] == list(SYMBOLS[:3])
    assert len({market.path.read_bytes() for market in found}) == 3
    assert len(set(SYMBOLS)) == MARKETS_MAX


@pytest.mark.parametrize("trades", [100, 5_000, 120_000])
def test_a_market_has_good_rows_bad_rows_and_late_rows(tmp_path: Path, trades: int) -> None:
    market = generate_market(tmp_path, 0, trades=trades, seed=1)
    good = [row for row in map(parsed, lines_of(market.path)) if row is not None]
    assert len(good) == market.trades == trades
    assert sum(1 for _ in lines_of(market.path)) - len(good) == market.bad_rows >= 3
    times = [time for time, _, _ in good]
    assert times != sorted(times)
    assert START_SECONDS * 1_000_000 <= min(times) <= max(times) < END_SECONDS * 1_000_000


@pytest.mark.parametrize("index", range(4))
def test_every_demo_market_breaks_out(tmp_path: Path, index: int) -> None:
    market = generate_market(tmp_path, index, trades=5_000, seed=1)
    trades, rejected = trades_of(market.path)
    assert rejected == market.bad_rows
    assert len(rises(trades)) > 0
