"""The main job by separate processes: import, stream, alerts, against the slow and obvious way."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
import pytest_asyncio

from e2e.conftest import running_system
from e2e.system import System
from qd_cli.generate import generate_market
from qd_schemas.arrays import Rows
from qd_store.imports import FileState
from support.reference import Trade, rises, trades_of

pytestmark = pytest.mark.slow

ORACLE = ("XBTCAD", "XBTSEK")
GENERATED_TRADES = 40_000


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[System]:
    """One for all tests here, each of which brings markets of its own."""
    async with running_system(tmp_path_factory.mktemp("system")) as found:
        yield found


def exactly(trades: list[Trade]) -> list[tuple[int, int, float, float]]:
    return [(one.sequence, one.time_us, one.price, one.volume) for one in trades]


async def streamed(system: System, symbol: str) -> list[tuple[int, int, float, float]]:
    """Every trade that a client receives, as plain numbers."""
    async with system.client() as qd:
        rows: list[Rows] = [rows async for rows in qd.trades(symbol)]
    return [tuple(row) for row in np.concatenate(rows).tolist()]


async def test_two_real_markets_from_csv_to_alerts(
    system: System, shared_data: Path, oracle_data: Path
) -> None:
    expected = json.loads((oracle_data / "breakouts_expected.json").read_text())
    files = [shared_data / "trades" / f"{symbol}.csv.gz" for symbol in ORACLE]
    report = await system.import_(*files)
    for result, file in zip(report.files, files, strict=True):
        assert (result.rows, result.rejected) == (
            expected[file.name]["accepted"],
            expected[file.name]["rejected"],
        )
    for symbol, file in zip(ORACLE, files, strict=True):
        trades, _ = trades_of(file)
        assert await streamed(system, symbol) == exactly(trades)
        alerts = await system.alerts_of(symbol, len(trades))
        assert len(alerts) == expected[file.name]["rises"]
        assert alerts[:5] == [tuple(rise) for rise in expected[file.name]["first_rises"]]
        assert alerts[-3:] == [tuple(rise) for rise in expected[file.name]["last_rises"]]
        assert alerts == rises(trades)


@pytest.mark.parametrize(
    ("symbol", "not_trades"),
    [("XBTROCK", 0), ("XBTUSD", 1), ("XBTUSDGOX", 1)],
    ids=["out of order", "with a header", "with a broken first line"],
)
async def test_a_market_whose_file_is_odd(
    system: System, shared_data: Path, symbol: str, not_trades: int
) -> None:
    file = shared_data / "trades" / f"{symbol}.csv.gz"
    trades, others = trades_of(file)
    assert others == not_trades
    (result,) = (await system.import_(file)).files
    has_header = symbol == "XBTUSD"
    assert (result.rows, result.rejected) == (len(trades), others - has_header)
    assert await streamed(system, symbol) == exactly(trades)
    assert await system.alerts_of(symbol, len(trades)) == rises(trades)


async def test_a_generated_market_from_csv_to_alerts(system: System, tmp_path: Path) -> None:
    """The same path where no real trades are at hand: rows out of order, and bad ones."""
    made = generate_market(tmp_path, 0, trades=GENERATED_TRADES, seed=7)
    trades, others = trades_of(made.path)
    assert (len(trades), others) == (GENERATED_TRADES, made.bad_rows)
    (result,) = (await system.import_(made.path)).files
    assert (result.rows, result.rejected) == (len(trades), made.bad_rows)
    assert result.rejects is not None
    assert len(result.rejects.read_text().splitlines()) >= made.bad_rows
    assert await streamed(system, made.symbol) == exactly(trades)
    expected = rises(trades)
    assert len(expected) > 3
    assert await system.alerts_of(made.symbol, len(trades)) == expected

    (again,) = (await system.import_(made.path)).files
    assert (again.state, again.rows) == (FileState.UNCHANGED, 0)
    assert await streamed(system, made.symbol) == exactly(trades)
