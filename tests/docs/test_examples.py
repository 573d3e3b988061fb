"""docs/examples: each runs as a user runs it, on one stack, and says what is true."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from e2e.system import System
from qd_cli.generate import generate_market
from qd_cli.stack.parts import FLUVIO, SYMDB
from support.reference import Trade, rises, trades_of

EXAMPLES = Path(__file__).resolve().parents[2] / "docs" / "examples"
NOTEBOOK = EXAMPLES / "bars_and_alerts.ipynb"
SYMBOLS = ("XBTEUR", "ETHEUR", "LTCEUR")
TRADES = 12_000
DAY_US = 86_400_000_000


async def run(system: System, *arguments: str | Path) -> str:
    """Run a program in the environment that a user of this stack sets; give what it prints."""
    here = {name: value for name, value in os.environ.items() if not name.startswith("QD_")}
    settings = {name: system.record.settings[name] for name in (FLUVIO, SYMDB)}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *map(str, arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**here, **settings},
        cwd=system.folder,
    )
    out, err = await process.communicate()
    assert process.returncode == 0, f"{arguments[-1]}\n{err.decode()}"
    return out.decode()


async def test_each_runs_and_is_right(system: System) -> None:
    pytest.importorskip("nbclient", reason="nbclient is not installed")
    paths = [
        generate_market(system.folder, number, trades=TRADES, seed=4).path for number in range(3)
    ]
    assert [path.stem for path in paths] == list(SYMBOLS)
    await system.import_(*paths)
    markets = [trades_of(path)[0] for path in paths]
    assert all(len(market) == TRADES for market in markets)
    stream, symbols, causal, portfolio, notebook = await asyncio.gather(
        run(system, "-W", "error", EXAMPLES / "basic_stream.py"),
        run(system, "-W", "error", EXAMPLES / "symbol_master.py"),
        run(system, "-W", "error", EXAMPLES / "causal_inference.py"),
        run(system, "-W", "error", EXAMPLES / "replay_portfolio.py"),
        run_notebook(system),
    )
    check_stream(stream, markets[0])
    check_symbols(symbols)
    assert f"XBTEUR: {breakouts(markets[0])} of {TRADES} trades" in causal
    assert "above the price is above yesterday's high" in causal
    assert f"10000.00 became {portfolio_of(markets):.2f}," in portfolio
    days = {trade.time_us // DAY_US for trade in markets[0]}
    assert f"{len(rises(markets[0]))} alerts in {len(days) - 1} days" in notebook
    assert notebook.count("image/png") == 1


async def run_notebook(system: System) -> str:
    await system.alerts_of("XBTEUR", TRADES)  # waits until all are published
    runner = Path(__file__).parents[1] / "support" / "notebooks.py"
    return await run(system, runner, NOTEBOOK)


def check_stream(said: str, market: Sequence[Trade]) -> None:
    volume = sum(trade.volume for trade in market)
    assert f"XBTEUR: {len(market)} trades, volume {volume:.3f}" in said
    assert f"price={market[-1].price!r}" in said
    assert len(re.findall(r"^ *2023-\d\d-01 00:00:00\+00:00", said, re.M)) == 3


def check_symbols(said: str) -> None:
    assert f"kraken: 3 symbols, {3 * TRADES} trades" in said
    assert re.search(rf"XBTEUR +{TRADES} trades 2021-01-01 to 2023-12-31", said)
    assert "XBT/EUR is XBTEUR" in said
    assert "refused: kraken has no symbol 'NOSUCH'" in said


def breakouts(market: Sequence[Trade]) -> int:
    """How many trades are above the high of the day before, if that rose."""
    count, day, high = 0, -1, float("inf")
    prices: list[float] = []
    for trade in market:
        if trade.time_us // DAY_US != day:
            day = trade.time_us // DAY_US
            high = max(prices) if prices and prices[-1] > prices[0] else float("inf")
            prices = []
        prices.append(trade.price)
        count += trade.price > high
    return count


def portfolio_of(markets: Sequence[Sequence[Trade]]) -> float:
    """What 10,000 became that were shared out evenly at the end of each day."""
    closes = [{trade.time_us // DAY_US: trade.price for trade in market} for market in markets]
    value, held, prices = 10_000.0, dict[int, float](), dict[int, float]()
    for day in sorted({day for market in closes for day in market}):
        prices |= {n: market[day] for n, market in enumerate(closes) if day in market}
        if len(prices) == len(markets):
            value = sum(count * prices[n] for n, count in held.items()) or value
            held = {n: value / len(markets) / price for n, price in prices.items()}
    return value


def test_the_notebook_is_committed_without_outputs() -> None:
    cells = json.loads(NOTEBOOK.read_text())["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert code
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)
