"""docs/client.md: its programs run in order, and its tables name what there is."""

from __future__ import annotations

import ast
import asyncio
import inspect
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import qd_client
from qd_client import errors, limits
from qd_schemas.settings import table
from support.markets import Markets
from support.processes import running

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "client.md").read_text()
PROGRAMS = re.findall(r"^```python\n(.*?)^```", TEXT, re.M | re.S)


@pytest.fixture
def environment(
    fluvio_endpoint: str,
    gateway: object,
    markets: Markets,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[None]:
    """The environment that the document speaks of."""
    env = {"QD_SYMDB": "127.0.0.1:0", "QD_DATABASE": markets.dsn}
    for name in list(os.environ):
        if name.startswith("QD_"):
            monkeypatch.delenv(name)
    with running("qd_symdb", folder=tmp_path, env=env) as ready:
        monkeypatch.setenv("QD_FLUVIO", fluvio_endpoint)
        monkeypatch.setenv("QD_SYMDB", str(ready["endpoint"]))
        yield


def test_its_programs_run(
    environment: None, markets: Markets, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("pandas", reason="pandas is not installed")
    names: dict[str, Any] = {}
    said: list[str] = []
    for program in PROGRAMS:
        code = compile(program, "<client.md>", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        if code.co_flags & inspect.CO_COROUTINE:  # as a notebook's cell
            asyncio.run(eval(code, names))
        else:
            exec(code, names)
        said.append(capsys.readouterr().out)
    usd, eur = (markets.trades[symbol] for symbol in ("XBTUSD", "XBTEUR"))
    assert said[0].startswith(str(usd["price"].mean()))
    assert "2013-10-19 00:00:00+00:00" in said[0]
    assert said[1] == "datetime64[us, UTC]\n"
    assert said[2].startswith("XBTUSD ")
    assert said[3].startswith("4001\n")
    assert names["highest"] == max(usd["price"].max(), eur["price"].max())
    replayed, controlled = said[5:7]
    assert replayed.count("a day is over") == 3
    assert controlled.startswith("Single(market=Trades(symbol='XBTUSD')")
    assert len(names["three"]) == 3
    assert said[8].splitlines() == ["5000 0", "10"]
    assert said[9] == "DataUnavailable False\n"


def test_it_names_every_error() -> None:
    known = {
        name
        for name, value in vars(errors).items()
        if inspect.isclass(value) and issubclass(value, errors.QdClientError)
    }
    named = set(re.findall(r"`(\w+)`", TEXT.partition("## Errors")[2]))
    assert known - {"QdClientError"} <= named


def test_its_numbers_are_the_limits() -> None:
    assert limits.STREAM_BYTES_MAX == 8 * 2**20
    assert limits.TAKE_BYTES_MAX == 2**20
    assert limits.PATIENCE_SECONDS_DEFAULT == 60
    assert limits.ALERTS_REMEMBERED_MAX == 1_000_000
    assert table.GATEWAY_STREAMS_PER_CLIENT_MAX.default == 16


def test_names_that_it_imports_are_public() -> None:
    imported = re.findall(r"^from qd_client import (.*)$", TEXT, re.M)
    names = {name.strip() for line in imported for name in line.split(",")}
    assert names
    assert names <= set(qd_client.__all__)
    assert set(re.findall(r"qd_client\.(\w+)\(", TEXT)) <= set(qd_client.__all__)
