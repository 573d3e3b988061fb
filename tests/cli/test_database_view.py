"""The state of the database as people read it on terminals, wide and narrow."""

from __future__ import annotations

import pytest

from support.terminal import on_terminal

CODE = """
from qd_cli.database_view import print_status
from qd_store.administration.status import DatabaseStatus, MarketStatus
from qd_store.tables import TableKind

market = MarketStatus("kraken", 1, 1, "XBTUSDGOX", 98_765_432, 0, 10**15, 0, 12_345_678_901)
print_status(DatabaseStatus("qd", "qd", "18.4", 9, 6, 6, kind=TableKind.PLAIN, markets=[market]))
print("end")
"""


@pytest.mark.parametrize(("columns", "last"), [("80", "2001-09-09"), ("120", "T01:46:40Z")])
def test_a_market_is_one_line(columns: str, last: str) -> None:
    with on_terminal(["-c", CODE], {"COLUMNS": columns}) as terminal:
        terminal.until("end")
        assert terminal.wait() == 0
    lines = terminal.screen.decode().splitlines()
    (line,) = (line for line in lines if "XBTUSDGOX" in line)
    assert len(line.rstrip()) <= int(columns)
    assert last in line
    assert "11.5 GiB" in line
