"""The bar of ``qd import``: what it says of files, of their columns, and of the bars."""

from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

from qd_cli.import_bar import ImportBar
from qd_cli.imports import ImportMeter
from qd_store.imports import Progress
from qd_store.tables import RefreshProgress


def shown(bar: ImportBar) -> list[str]:
    """The lines of a terminal."""
    console = Console(file=io.StringIO(), width=120)
    with console.capture() as captured:
        for each in bar.get_renderables():
            console.print(each)
    return [line.strip() for line in captured.get().splitlines()]


@pytest.fixture
def meter() -> ImportMeter:
    return ImportMeter(bytes_total=200, files_total=3)


def test_files_then_bars(meter: ImportMeter) -> None:
    bar = ImportBar(meter, "importing")
    bar.show()
    (line,) = shown(bar)
    assert line.startswith("importing 0/3 ")

    meter.take(Progress("a.csv", "XBTEUR", 1_234, 50, 200, "unix_ts,price,volume [bold], seconds"))
    bar.show()
    files, columns = shown(bar)
    assert files.startswith("importing 1/3 ")
    assert " 25 % 1,234 rows " in files
    assert "rows/s" in files
    assert columns == "XBTEUR: unix_ts,price,volume [bold], seconds"

    meter.take_refresh(RefreshProgress(0, 0, "bars"))
    bar.show()
    meter.take_refresh(RefreshProgress(1_000, 4_000, "bars"))
    bar.show()
    files, bars = shown(bar)
    assert files.startswith("importing 1/3 ")
    assert bars.startswith("making bars ")
    assert " 25 % of 1,000 trades " in bars
    assert "trades/s" in bars


def test_time_left_is_shown_once_there_is_a_rate(meter: ImportMeter) -> None:
    bar = ImportBar(meter, "checking")
    for position in (10, 60, 110):
        meter.take(Progress("a.csv", "XBTEUR", position, position, 200))
        bar.show()
    (line,) = shown(bar)
    assert re.search(r"rows/s +\d+:\d\d:\d\d$", line)
