"""What a user asks for is checked before it is sent."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import numpy as np
import pytest

from qd_client import Trades
from qd_client.client import QDClient
from qd_client.errors import UsageError
from qd_client.request import Range, Time, microseconds
from qd_schemas.enums import Resolution
from qd_schemas.wire import NO_TIME

HOUR_EAST = timezone(timedelta(hours=1))


@pytest.mark.parametrize(
    ("time", "expected"),
    [
        (None, NO_TIME),
        (0, 0),
        (1_700_000_000_000_001, 1_700_000_000_000_001),
        (datetime(1970, 1, 2, tzinfo=UTC), 86_400_000_000),
        (datetime(2013, 9, 1, 1, tzinfo=HOUR_EAST), 1_377_993_600_000_000),
        (np.datetime64("1970-01-01T00:00:01"), 1_000_000),
        (np.datetime64("2013-09-01T00:00:00.000001"), 1_377_993_600_000_001),
        ("1970", 0),
        ("1970-02", 31 * 86_400_000_000),
        ("1970-01-02", 86_400_000_000),
        ("1970-01-01T00:00:01.000002", 1_000_002),
        ("2013-09-01T01:00+01:00", 1_377_993_600_000_000),
        ("2013-09-01 00:00Z", 1_377_993_600_000_000),
    ],
)
def test_times(time: Time | None, expected: int) -> None:
    assert microseconds(time) == expected


@pytest.mark.parametrize(
    "time",
    [
        *(datetime(2020, 1, 1), 2**63 - 1, -(2**63), np.datetime64("NaT")),
        *("", "NaT", "now", "2021-13", "2021-02-30", "yesterday", "9" * 30),
        *(date(2020, 1, 1), float("nan"), float("inf"), ["2020"], 1_700_000_000_000_000.0),
    ],
)
def test_times_that_make_no_sense(time: object) -> None:
    with pytest.raises(UsageError):
        microseconds(time)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("time", "unit"),
    [
        (1_700_000_000, "seconds"),
        (np.int64(1_700_000_000), "seconds"),
        (1_700_000_000_000, "milliseconds"),
        (1_700_000_000_000_000_000, "nanoseconds"),
    ],
)
def test_numbers_of_another_unit_are_no_times(time: int, unit: str) -> None:
    with pytest.raises(UsageError, match=f"looks like {unit} since 1970.* give 1700000000000000$"):
        microseconds(time)


@pytest.mark.parametrize("markets", ["XBTEUR", Trades("XBTEUR"), [("XBTEUR", "1h")], [None], [1.5]])
def test_a_replay_of_what_is_no_list_of_markets(markets: Any) -> None:
    qd = QDClient(endpoint="127.0.0.1:9003")
    with pytest.raises(UsageError, match=r"give \[|is no market; expected Trades"):
        qd.replay(markets)


@pytest.mark.parametrize("resolution", ["2h", "none", "", None, Resolution.NONE])
def test_resolutions_that_no_bars_have(resolution: Any) -> None:
    with pytest.raises(UsageError, match="1m"):
        QDClient(endpoint="127.0.0.1:9003").bars("XBTEUR", resolution)


@pytest.mark.parametrize(
    "arguments",
    [
        {"first_sequence": 0},
        {"first_sequence": -1},
        {"pace": -1.0},
        {"pace": float("nan")},
        {"pace": float("inf")},
        {"first_sequence": 1.5},
        {"first_sequence": "1"},
        {"pace": "fast"},
        {"pace": None},
        {"start": 5, "end": 5},
        {"start": 6, "end": 5},
    ],
)
def test_ranges_that_make_no_sense(arguments: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        Range(**arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "arguments",
    [
        {"client_id": 20},
        {"client_id": 65_535},
        {"lease_ms": 1},
        {"version": 3},
        {"version": 0},
        {"client_id": "21"},
        {"endpoint": "nowhere"},
        {"endpoint": "127.0.0.1:65536"},
        {"symdb": ":7070"},
    ],
)
def test_clients_that_make_no_sense(arguments: dict[str, object]) -> None:
    with pytest.raises(UsageError, match="expected"):
        QDClient(**{"endpoint": "127.0.0.1:1", **arguments})  # type: ignore[arg-type]


async def test_a_client_is_used_inside_its_block() -> None:
    client = QDClient(endpoint="127.0.0.1:1")
    with pytest.raises(UsageError, match="async with"):
        _ = client.client_id
    with pytest.raises(UsageError, match="async with"):
        await anext(client.trades(1))
