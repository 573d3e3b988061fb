"""Known columns are found, unknown ones refused with what was seen and what is known."""

from __future__ import annotations

import pytest

from qd_store.errors import UnknownLayout
from qd_store.exchanges.binance import BINANCE
from qd_store.exchanges.kraken import KRAKEN
from qd_store.imports.layouts import detect
from qd_store.imports.parse import BlockParser

KRAKENS_NEWER = "Price,Volume,Timestamp,Type,OrderType,Misc,TradeID"
BINANCES = "id,price,qty,quoteQty,time,isBuyerMaker,isBestMatch"


@pytest.mark.parametrize(
    ("data", "text", "times"),
    [
        (
            b"1514764802,13873,10\n",
            "unix_ts,price,volume without header, seconds",
            [1514764802000000],
        ),
        (
            b"430000\n1514764802.61,1,1\n",
            "unix_ts,price,volume without header, fractional seconds",
            [1514764802610000],
        ),
        (
            b"timestamp,price,amount\n1514764802,1,1\n",
            "timestamp,price,amount with header, seconds",
            [1514764802000000],
        ),
        (
            b"Time, Price, Volume\r\n1514764802,1,1\r\n",
            "time,price,volume with header, seconds",
            [1514764802000000],
        ),
        (
            KRAKENS_NEWER.encode()
            + b"\n27000.1,0.5,1688669597.8277,b,l,,61044952\n"
            + b"27000.2,0.5,1688669598.5,s,m,x,61044953\n",
            f"{KRAKENS_NEWER} with header, fractional seconds",
            [1688669597827700, 1688669598500000],
        ),
        (b"", "unix_ts,price,volume without header, seconds", []),
        (
            b"timestamp,price,volume\n",
            "timestamp,price,volume with header, seconds",
            [],
        ),
    ],
)
def test_krakens_layouts(data: bytes, text: str, times: list[int]) -> None:
    layout = detect(data, "file", KRAKEN)
    assert layout.text == text
    assert BlockParser(layout).parse(data).rows["time"].tolist() == times


@pytest.mark.parametrize(
    ("data", "text", "row"),
    [
        (
            b"3316226001,42314.0,0.00049,20.73386,1704067200041,True,True\n",
            f"{BINANCES} without header, milliseconds",
            (1704067200041000, 42314.0, 0.00049, 1),
        ),
        (
            b"4359136523,93576.0,0.00083,77.668,1735689600017456,False,True\n",
            f"{BINANCES} without header, microseconds",
            (1735689600017456, 93576.0, 0.00083, 1),
        ),
        (
            b"id,price,qty,quote_qty,time,is_buyer_maker,is_best_match\n"
            b"1,42314.0,0.5,21157.0,1704067200041,true,true\n",
            "id,price,qty,quote_qty,time,is_buyer_maker,is_best_match with header, milliseconds",
            (1704067200041000, 42314.0, 0.5, 2),
        ),
    ],
)
def test_binances_layouts(data: bytes, text: str, row: tuple[int, float, float, int]) -> None:
    layout = detect(data, "file", BINANCE)
    assert layout.text == text
    assert BlockParser(layout).parse(data).rows.tolist() == [row]


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
    assert "known for kraken are: unix_ts,price,volume without header, seconds" in message
    assert f"{KRAKENS_NEWER} with header" in message


def test_another_exchanges_file_is_recognised() -> None:
    krakens = b"1514764802,13873,10\n"
    binances = b"3316226001,42314.0,0.00049,20.73386,1704067200041,True,True\n"
    with pytest.raises(UnknownLayout, match="these are columns of binance, not of kraken"):
        detect(binances, "file", KRAKEN)
    with pytest.raises(UnknownLayout, match="these are columns of kraken, not of binance"):
        detect(krakens, "file", BINANCE)
