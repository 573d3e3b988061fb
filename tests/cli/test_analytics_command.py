"""``qd analytics`` and ``qd alerts explain``: on a real database, with and without a cluster."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from qd_cli.errors import ExitCode
from qd_fluvio import connect, ensure_system_topic
from qd_schemas.codec import encode
from qd_schemas.topics import ALERTS
from support.commands import Qd
from support.judged import Answers, in_arrays
from support.markets import Markets, database_of
from support.models import walk
from support.processes import Process, running
from support.terminal import on_terminal

MINE = """
from qd_analytics import FromContext, Model, Period, PeriodModel, rule

CLOSE = FromContext(Period.DAY.previous, "close")

@rule
def jumped(price, close=CLOSE):
    "the price is above yesterday's close"
    return price > close

def model() -> PeriodModel:
    return PeriodModel("jump", Model(2_000, jumped), Period.DAY, (CLOSE,))

def failing() -> PeriodModel:
    @rule
    def never(price):
        raise ValueError("never again")
    return PeriodModel("never", Model(2_001, never), Period.DAY)
"""
ROWS = walk(5, 2_000)


@pytest.fixture(scope="module")
def markets(database_dsn: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Markets]:
    folder = tmp_path_factory.mktemp("analytics")
    with database_of(database_dsn, folder, {"XBTUSD": ROWS}) as found:
        yield found


@pytest.fixture
def history(bare_qd: Qd, markets: Markets, monkeypatch: pytest.MonkeyPatch) -> Qd:
    """A ``qd`` that knows a database, and no cluster."""
    monkeypatch.setenv("QD_DATABASE", markets.dsn)
    return bare_qd


def whole(model: str = "monthly-breakout", *settings: str) -> Answers:
    return in_arrays(ROWS, model, *settings)


@pytest.mark.parametrize("name", ["XBTUSD", "xbtusd", "XBT/USD", "BTC/USD"])
def test_backtest_of_a_market_by_any_of_its_names(history: Qd, name: str) -> None:
    lines = history.json("analytics", "backtest", name)
    found = [(line["sequence"], line["price"]) for line in lines]
    assert found == [(alert.sequence, alert.price) for alert in whole().alerts]
    first, alert = lines[0], whole().alerts[0]
    assert (first["symbol"], first["model"], first["signal"]) == (
        *("XBTUSD", "monthly-breakout", "rose"),
    )
    assert first["levels"]["previous month high"] == alert.previous_high


def test_backtest_as_table_and_csv_with_settings(history: Qd) -> None:
    words = ("--model", "weekly-breakout", "--set", "signals=both")
    wanted = whole("weekly-breakout", "signals=both")
    table = history("analytics", "backtest", "XBTUSD", *words)
    assert table.lines[0].split()[:4] == ["TIME", "SIGNAL", "PRICE", "SEQUENCE"]
    assert len(table.lines) == 1 + len(wanted.alerts)
    assert f"{len(wanted.alerts)} alerts of weekly-breakout" in table.err
    rows = list(
        csv.DictReader(io.StringIO(history("analytics", "backtest", "XBTUSD", *words, "--csv").out))
    )
    assert [int(row["sequence"]) for row in rows] == wanted.sequences
    assert {row["signal"] for row in rows} == {"rose", "fell"}
    assert float(rows[0]["previous week close"]) == wanted.alerts[0].previous_close


def test_a_range_shows_the_same_alerts_as_the_whole(history: Qd) -> None:
    lines = history.json("analytics", "backtest", "XBTUSD")
    start, end = lines[2]["time"], lines[5]["time"]
    found = history.json("analytics", "backtest", "XBTUSD", "--start", start, "--end", end)
    assert found == lines[2:5]


def test_models_are_listed(history: Qd) -> None:
    names = [line["model"] for line in history.json("analytics", "models")]
    assert names[0] == "monthly-breakout"
    assert "days=20" in history("analytics", "models").out


def test_a_model_of_a_users_own(history: Qd, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(MINE)
    name = f"{tmp_path / 'mine.py'}:model"
    lines = history.json("analytics", "backtest", "XBTUSD", "--model", name)
    assert len(lines) > 20
    assert all(line["price"] > line["levels"]["previous day close"] for line in lines)


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["backtest", "NOPE"], ExitCode.FAILED, "the database has no market 'NOPE'"),
        (["backtest", "XBTUSD", "--json", "--csv"], ExitCode.FAILED, "--json or --csv, not both"),
        (["backtest", "XBTUSD", "--model", "none"], ExitCode.FAILED, "no model is named 'none'"),
        (["backtest", "XBTUSD", "--set", "x=1"], ExitCode.FAILED, "has no setting 'x'"),
        (["backtest", "XBTUSD", "--start", "soon"], ExitCode.FAILED, "expected an ISO time"),
        (["plot", "XBTUSD", "--out", "x.jpg"], ExitCode.FAILED, "ends in .svg or .png"),
        (["plot", "XBTUSD", "--end", "1999-01-01"], ExitCode.FAILED, "no trades in that time"),
        (["run", "--model", "none"], ExitCode.FAILED, "no model is named 'none'"),
        (["backtest", "XBTUSD", "--model", "MINE"], ExitCode.FAILED, "never again"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_what_cannot_be(
    history: Qd, tmp_path: Path, words: list[str], code: ExitCode, says: str
) -> None:
    (tmp_path / "mine.py").write_text(MINE)
    words = [word.replace("MINE", f"{tmp_path / 'mine.py'}:failing") for word in words]
    done = history("analytics", *words)
    assert (done.code, says in done.err) == (code, True), done.err
    assert "Traceback" not in done.err


def test_without_a_database(bare_qd: Qd) -> None:
    done = bare_qd("analytics", "backtest", "XBTUSD")
    assert done.code == ExitCode.FAILED
    assert "set QD_DATABASE" in done.err


# Pictures


@pytest.mark.parametrize(("form", "begins"), [("svg", b"<?xml"), ("png", b"\x89PNG")])
def test_a_picture_in_a_file(history: Qd, tmp_path: Path, form: str, begins: bytes) -> None:
    out = tmp_path / f"picture.{form}"
    done = history("analytics", "plot", "XBTUSD", "--set", "signals=both", "--out", out)
    assert done.code == 0, done.err
    assert out.read_bytes().startswith(begins)
    if form == "svg":
        drawn = out.read_text()
        alerts = whole("monthly-breakout", "signals=both").alerts
        rises = sum(bool(alert.signal) for alert in alerts)
        assert f"rose ({rises})" in drawn
        assert "previous month high" in drawn


def test_a_picture_in_a_pipe_and_on_a_terminal(history: Qd, markets: Markets) -> None:
    piped = history("analytics", "plot", "XBTUSD").lines
    assert piped[0] == "XBTUSD  monthly-breakout"
    assert max(len(line) for line in piped[1:-1]) <= 114
    assert any("▲" in line and "█" in line for line in piped)
    words = ["-m", "qd_cli", "analytics", "plot", "XBTUSD", "--start", "2022-03-01"]
    with on_terminal(words, {"QD_DATABASE": markets.dsn}) as terminal:
        assert terminal.wait() == 0
    assert "2022-03-01T00:00" in terminal.screen.decode()
    assert b"\x1b[" in terminal.screen, "in colour"


# Alerts, with a cluster


@pytest.fixture
def told(
    qd: Qd, markets: Markets, fluvio_endpoint: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Qd]:
    """A ``qd`` on a cluster whose alerts are those of two models over the market."""
    monkeypatch.setenv("QD_DATABASE", markets.dsn)
    settings = {"QD_SYMDB": "127.0.0.1:0", "QD_DATABASE": markets.dsn}
    asyncio.run(publish(fluvio_endpoint, markets.ids["XBTUSD"]))
    with running("qd_symdb", folder=tmp_path / "symdb", env=settings) as ready:
        monkeypatch.setenv("QD_SYMDB", str(ready["endpoint"]))
        yield qd


async def publish(endpoint: str, symbol_id: int) -> None:
    async with connect(endpoint) as fluvio:
        await ensure_system_topic(fluvio, ALERTS)
        producer = await fluvio.producer(ALERTS)
        for model in ("monthly-breakout", "volatility"):
            for alert in whole(model, "signals=both").alerts:
                await producer.send(encode(replace(alert, symbol_id=symbol_id)))
        await producer.aclose()


def test_why_an_alert_rose_and_fell(told: Qd) -> None:
    rose, fell = whole("monthly-breakout", "signals=both").alerts[:2]
    done = told("alerts", "explain", "XBT/USD", str(rose.sequence))
    assert done.code == 0, done.err
    alone, again = done.out.split("from the trades before it:")
    for text in (alone, again):
        assert f"price={rose.price}, previous month high={rose.previous_high}" in text
        assert "evaluated to false" not in text
    (line,) = told.json("alerts", "explain", "XBTUSD", str(fell.sequence))
    assert (line["signal"], line["levels"]["current month open"]) == ("fell", fell.current_open)
    assert "evaluated to false" in line["why"]
    assert "because not" in line["evaluated_again"]
    quick = told("alerts", "explain", "XBTUSD", str(rose.sequence), "--quick")
    assert "from the trades" not in quick.out
    shown = told("alerts", "--symbol", "XBTUSD").out
    assert "Kraken XBTUSD  rose" in shown
    assert "volatility" in shown
    listed = told.json("alerts", "--symbol", "XBTUSD")
    (found,) = [line["levels"] for line in listed if line["sequence"] == rose.sequence]
    assert found["previous month high"] == rose.previous_high
    for words, says in [
        (["1"], "a shipped model raised no alert at trade 1 of XBTUSD"),
        ([str(rose.sequence), "--model", "yearly-breakout"], "models with the ids 1 did"),
        ([str(rose.sequence), "--set", "days=3"], "give --model as well"),
    ]:
        refused = told("alerts", "explain", "XBTUSD", *words)
        assert (refused.code, says in refused.err) == (ExitCode.FAILED, True), refused.err


def test_alerts_become_readable_json(told: Qd, fluvio_endpoint: str) -> None:
    name = f"readable-{os.getpid()}"
    done = told(
        *("process", "run", "qd_analytics.readable:alerts_to_json", "--from", ALERTS),
        *("--to", name, "--once", "--from-beginning", "--id", name),
    )
    assert done.code == 0, done.err
    lines = [json.loads(line) for line in told("consume", name, "--beginning", "-d").lines]
    wanted = whole("monthly-breakout", "signals=both").alerts[0]
    (found,) = {
        json.dumps(line)
        for line in lines
        if (line["model"], line["sequence"]) == ("monthly-breakout", wanted.sequence)
    }
    first = json.loads(found)
    assert (first["exchange"], first["symbol"]) == ("kraken", "XBTUSD")
    assert (first["signal"], first["price"]) == ("rose", wanted.price)
    assert first["levels"]["previous month high"] == wanted.previous_high
    calm = next(line for line in lines if line["model"] == "volatility")
    reaches = ("calm reach", "mean reach", "limit")
    assert list(calm["levels"])[1:] == [f"recent days {name}" for name in reaches]


@pytest.mark.slow
def test_the_service_in_the_foreground_says_what_is_wrong(nowhere: None, tmp_path: Path) -> None:
    process = Process(
        "qd_cli",
        *("analytics", "run", "--fluvio", "127.0.0.1:1", "--symdb", "127.0.0.1:1"),
        *("--model", "volatility days=9", "--client-id", "65001"),
        folder=tmp_path,
    )
    process.wait_logged("trying again in")
    assert process.stop() == 0
    assert "qd_analytics" in process.log()
    assert "Traceback" not in process.log()
