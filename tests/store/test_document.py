"""What docs/store.md says is run as it stands there."""

from __future__ import annotations

import asyncio
import re
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qd_store import Store
from qd_store.reading import TradeQuery
from support.stored_trades import START_US, trades_of

DOCUMENT = Path(__file__).parents[2] / "docs" / "store.md"
HOUR_US = 3_600_000_000


def programs() -> list[str]:
    return re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)


async def test_the_programs_run(store: Store, dsn: str, capsys: pytest.CaptureFixture[str]) -> None:
    append, read = programs()
    trades = trades_of(np.full(100, HOUR_US))
    for _ in range(2):  # the second time nothing is new
        await asyncio.to_thread(exec, append, {"dsn": dsn, "trades": trades})
    market = await store.market_by_symbol(1, "XBTUSD")
    assert market is not None
    assert (await store.query(TradeQuery(market))).tobytes() == trades.tobytes()
    names: dict[str, Any] = {"dsn": dsn, "begin": START_US, "end": START_US + 10 * HOUR_US}
    exec(f"async def run():\n{textwrap.indent(read, '    ')}", names)
    await names["run"]()
    assert capsys.readouterr().out == f"{trades['price'][:9].max()}\n"
