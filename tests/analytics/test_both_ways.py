"""The same alerts by both ways: through the service, and by a backtest from the store."""

from __future__ import annotations

import asyncio
import json
import urllib.request
from collections.abc import Iterator
from contextlib import aclosing, contextmanager
from pathlib import Path

import numpy as np
import psycopg
import pytest

from qd_analytics.backtest import backtest
from qd_analytics.models import choose, choose_all
from qd_client import progress
from qd_fluvio import connect
from qd_schemas.enums import ExchangeId
from qd_store.imports import import_paths
from qd_store.markets import market_key
from qd_store.migrate import migrate
from qd_store.reading.blocking import read_trades
from support.alert_stack import Stack, all_alerts, in_time, logged, random_walk, wait_for_saved
from support.databases import fresh_database
from support.judged import in_arrays
from support.markets import Markets, database_of, ids_of

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

MODELS = "monthly-breakout; weekly-breakout signals=both; volatility days=9 policy=first"
OWN = "support.models:above_mean count=200 signals=falls"

Found = dict[tuple[str, str], list[tuple[str, int, float]]]
"""By market and model: signal, sequence and price of each alert, in order."""


@contextmanager
def running(stack: Stack) -> Iterator[Stack]:
    try:
        for name in ("fluvio.broker", "symdb", "gateway"):
            stack.start(name)
        yield stack
    finally:
        stack.close()


async def evaluated(stack: Stack, models: str, trades: dict[str, int]) -> None:
    """Wait until the service has evaluated all trades of all markets."""
    ids = [chosen.model.id for chosen in choose_all(models)]
    missing = {
        (model, stack.markets.ids[symbol]): n for symbol, n in trades.items() for model in ids
    }
    async with (
        in_time(stack),
        connect(stack.endpoint) as fluvio,
        aclosing(progress(fluvio)) as said,
    ):
        async for one in said:
            if one.sequence >= missing.get((one.model_id, one.symbol_id), one.sequence + 1):
                del missing[(one.model_id, one.symbol_id)]
            if not missing:
                return


async def by_service(stack: Stack, models: str) -> Found:
    names = {chosen.model.id: chosen.model.name for chosen in choose_all(models)}
    symbols = {number: symbol for symbol, number in stack.markets.ids.items()}
    found: Found = {}
    for alert in await all_alerts(stack):
        key = (symbols[alert.symbol_id], names[alert.model_id])
        signal = "rose" if alert.signal else "fell"
        found.setdefault(key, []).append((signal, alert.sequence, alert.price))
    return found


def by_backtest(stack: Stack, models: str, size: int | None = None) -> Found:
    """The alerts of a backtest over the store's arrays, or over arrays of another size."""
    found: Found = {}
    for chosen in choose_all(models):
        for symbol, number in stack.markets.ids.items():
            arrays = read_trades(stack.markets.dsn, market_key(ExchangeId.KRAKEN, number))
            if size is not None:
                rows = np.concatenate(list(arrays))
                arrays = (rows[at : at + size] for at in range(0, len(rows), size))
            alerts = [
                ("rose" if alert.signal else "fell", alert.sequence, alert.price)
                for judged in backtest(chosen, arrays)
                for alert in judged.alerts
            ]
            if alerts:
                found[(symbol, chosen.model.name)] = alerts
    return found


def test_real_markets(
    shared_data: Path,
    oracle_data: Path,
    database_dsn: str,
    tmp_path: Path,
) -> None:
    """Every real market, and the recorded breakouts of two of them."""
    files = sorted((shared_data / "trades").glob("*.csv*"))
    with fresh_database(database_dsn) as dsn:
        report = import_paths(dsn, files, rejects_folder=tmp_path / "rejects", parallel=1)
        with running(Stack(Markets(dsn, {}, ids_of(dsn)), tmp_path)) as stack:
            stack.start("analytics", QD_MODELS=MODELS, QD_CHECKPOINT_SECONDS="3600")
            trades = {file.symbol: file.rows for file in report.files}
            asyncio.run(evaluated(stack, MODELS, trades))
            told = asyncio.run(by_service(stack, MODELS))
            assert by_backtest(stack, MODELS) == told
            assert by_backtest(stack, MODELS, size=1_009) == told, "for frames of any size"
            # Stopped in order, it leaves a checkpoint of everything.
            assert stack.stop("analytics") == 0
            asyncio.run(wait_for_saved(stack, **trades))
    assert len({symbol for symbol, _ in told}) >= 4, "some of these markets have no alert"
    expected = json.loads((oracle_data / "breakouts_expected.json").read_text())
    for name, expect in expected.items():
        found = told[(name.removesuffix(".csv.gz"), "monthly-breakout")]
        assert len(found) == expect["rises"]
        first = [("rose", sequence, price) for sequence, _, price in expect["first_rises"]]
        assert found[:5] == first


def test_generated_markets_through_a_crash_and_a_model_that_fails(
    database_dsn: str, tmp_path: Path
) -> None:
    markets = {"AAA": random_walk(11, 60_000), "BBB": random_walk(12, 9_000)}
    models = f"{MODELS}; {OWN}"
    with (
        database_of(database_dsn, tmp_path / "database", markets) as found,
        running(Stack(found, tmp_path)) as stack,
    ):
        settings = {"QD_MODELS": f"support.failing:tiring; {models}", "QD_MARKETS_AT_ONCE": "1"}
        process = stack.start("analytics", **settings)
        asyncio.run(logged(process, "caught up"))  # one market is done, the other begins
        stack.kill("analytics")
        process = stack.start("analytics", **settings, QD_ANALYTICS_METRICS="127.0.0.1:0")
        trades = {symbol: len(rows) for symbol, rows in markets.items()}
        asyncio.run(evaluated(stack, models, trades))
        said = asked(stack.ready["metrics"])
        log = process.log()
        assert stack.stop("analytics") == 0
        told = asyncio.run(by_service(stack, f"support.failing:tiring; {models}"))
        assert by_backtest(stack, models) == {
            key: alerts for key, alerts in told.items() if key[1] != "tiring"
        }
    for symbol, rows in markets.items():
        before = in_arrays(rows[:1_000], "support.models:above_mean").rises
        alerts = [(sequence, price) for _, sequence, price in told[(symbol, "tiring")]]
        assert alerts == [(sequence, price) for sequence, _, price in before]
    assert all(len(alerts) > 3 for alerts in told.values())
    assert len(told) >= 2 * len(choose_all(models))
    assert "model tiring failed at trade 1001 " in log
    assert "RuntimeError: this model is tired; it watches this market no more" in log
    assert "Traceback" not in log
    assert 'qd_analytics_lag_trades{market="AAA"} 0.0' in said
    assert 'qd_analytics_errors_total{kind="model"} ' in said
    assert f'qd_analytics_trades_total{{model="{choose("volatility").model.name}"}}' in said


def test_ready_before_there_is_any_market(database_dsn: str, tmp_path: Path) -> None:
    with (
        fresh_database(database_dsn) as dsn,
        running(Stack(Markets(dsn, {}, {}), tmp_path)) as stack,
    ):
        with psycopg.connect(dsn) as connection:
            migrate(connection)
        process = stack.start("analytics", QD_ANALYTICS_METRICS="127.0.0.1:0")
        asyncio.run(logged(process, "symdb answers"))
        assert "qd_analytics_alerts_published_total 0.0" in asked(stack.ready["metrics"])


def asked(endpoint: str) -> str:
    with urllib.request.urlopen(f"http://{endpoint}/metrics", timeout=30) as answer:
        text: str = answer.read().decode()
    with urllib.request.urlopen(f"http://{endpoint}/readyz", timeout=30) as answer:
        assert answer.read() == b"ok\n"
    return text
