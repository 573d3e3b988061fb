"""The lines of ``qd import`` in a log: soon, seldom, and at the turn to the bars."""

from __future__ import annotations

import pytest

from qd_cli.import_lines import INTERVAL_SECONDS, ImportLines
from qd_cli.imports import ImportMeter
from qd_store.imports import Progress
from qd_store.tables import RefreshProgress


class Clock:
    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def test_a_line_at_the_start_then_one_an_interval(capsys: pytest.CaptureFixture[str]) -> None:
    meter, clock = ImportMeter(), Clock()
    lines = ImportLines(meter, "importing", clock)

    def said() -> str:
        for _ in range(50):  # it is asked far more often than it speaks
            lines.show()
        shown = capsys.readouterr()
        assert not shown.out
        return shown.err

    assert not said()  # the files are still looked for
    meter.expect({"a.csv": 3 * 2**20, "b.csv": 2**20})
    assert said() == "importing 2 files, 4 MiB\n"
    meter.take(Progress("a.csv", "A", 1_234, 2**20, 3 * 2**20))
    assert not said()
    clock.seconds += INTERVAL_SECONDS
    line = said()
    assert line.startswith("importing: file 1 of 2, 25 %, 1,234 rows, ")
    assert line.endswith("rows/s\n")
    meter.take_refresh(RefreshProgress(0, 4_000, "bars"))
    assert said() == "making bars: 0 %, of 0 trades\n"
    meter.take_refresh(RefreshProgress(1_000, 4_000, "bars"))
    assert not said()
    clock.seconds += INTERVAL_SECONDS
    assert said() == "making bars: 25 %, of 1,000 trades\n"
