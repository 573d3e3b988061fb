"""Known columns are found, unknown ones refused with what was seen and what is known."""

from __future__ import annotations

import pytest

from qd_store.errors import UnknownLayout
from qd_store.exchanges.kraken import KRAKEN
from qd_store.imports.layouts import detect
from qd_store.imports.parse import BlockParser


@pytest.mark.parametrize(
    ("data", "name", "times"),
    [
        (b"1514764802,13873,10\n", "unix_ts,price,volume", [1514764802000000]),
        (b"430000\n1514764802,1,1\n", "unix_ts,price,volume", [1514764802000000]),
        (b"timestamp,price,amount\n1514764802,1,1\n", "timestamp,price,amount", [1514764802000000]),
        (b"Time, Price, Volume\r\n1514764802,1,1\r\n", "time,price,volume", [1514764802000000]),
        (
            b"Price,Volume,Timestamp,Type,OrderType,Misc,TradeID\n"
            b"27000.1,0.5,1688669597.8277,b,l,,61044952\n27000.2,0.5,1688669598.5,s,m,x,61044953\n",
            "Price,Volume,Timestamp,Type,OrderType,Misc,TradeID",
            [1688669597827700, 1688669598500000],
        ),
        (b"", "unix_ts,price,volume", []),
        (b"timestamp,price,volume\n", "timestamp,price,volume", []),
    ],
)
def test_known_layouts(data: bytes, name: str, times: list[int]) -> None:
    layout = detect(data, "file", KRAKEN)
    assert layout.name == name
    assert BlockParser(layout).parse(data).rows["time"].tolist() == times


@pytest.mark.parametrize(
    "data",
    [
        b"1514764800,1.0,2.0,0.5,1.5,100.0,12\n" * 3,
        b"time,open,high,low,close,volume\n1514764800,1,2,1,2,5\n",
        b"foo,bar,baz\n1514764800,1,2\n",
        b"1514764800610,1,2\n" * 3,
        b"2018-01-01T00:00:00Z,1,2\n" * 3,
        b"timestamp,price,volume\n2018-01-01,1,2\n",
        b"\x00\x01\x02\x03",
    ],
)
def test_unknown_layouts_are_refused(data: bytes) -> None:
    with pytest.raises(UnknownLayout) as caught:
        detect(data, "/data/XBTEUR.csv", KRAKEN)
    message = str(caught.value)
    assert message.startswith("/data/XBTEUR.csv has unknown columns: line 1 is ")
    assert "unix_ts,price,volume" in message
    assert "Price,Volume,Timestamp,Type,OrderType,Misc,TradeID" in message
