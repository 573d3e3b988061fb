"""Lines become exact trades or refused lines; the fast way and the slow way agree."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qd_store.exchanges import Layout, TimeUnit
from qd_store.exchanges.kraken import KRAKEN
from qd_store.imports.layouts import detect
from qd_store.imports.lines import parse_line
from qd_store.imports.parse import BlockParser
from qd_store.imports.rows import RAW, Block, Reason, Rejected

PLAIN = Layout("unix_ts,price,volume", time=0, price=1, volume=2)
GOOD = b"1514764802.610,13873,10"


def plain_layout() -> Layout:
    return detect(GOOD, "file", KRAKEN)


@pytest.mark.parametrize(
    ("text", "trade"),
    [
        (b"1514764802.610,13873,10", (1514764802610000, 13873.0, 10.0)),
        (b"1514764802,0.1,0", (1514764802000000, 0.1, 0.0)),
        (b"1688669597.8277369,30000.1,0.00000001", (1688669597827736, 30000.1, 1e-8)),
        (b"1688669597.999999999,1,1", (1688669597999999, 1.0, 1.0)),
        (b"1688669597.9999999999999,1,1", (1688669597999999, 1.0, 1.0)),
        (b"1.5e9,1e3,2E-3", (1500000000000000, 1000.0, 0.002)),
        (b" 1514764802 ,\t5 , 6", (1514764802000000, 5.0, 6.0)),
        (b" 1514764802.5\t,\t5 , 6", (1514764802500000, 5.0, 6.0)),
        (b"1514764802,5,6\r", (1514764802000000, 5.0, 6.0)),
        (b"1514764802,5,-0", (1514764802000000, 5.0, 0.0)),
        # The double nearest to the text, not the nearest of a shorter one.
        (b"1514764802,0.30000000000000004,0.1", (1514764802000000, 0.30000000000000004, 0.1)),
    ],
)
def test_good_lines(text: bytes, trade: tuple[int, float, float]) -> None:
    assert parse_line(text, PLAIN, 7) == (*trade, 7)
    block = BlockParser(plain_layout()).parse(text + b"\n")
    assert block.rows.tolist() == [(*trade, 1)]
    assert not np.signbit(block.rows["volume"]).any()
    assert block.rejected == ()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"430000", Reason.COLUMNS),
        (b"1514764802,5,6,7", Reason.COLUMNS),
        (b"1514764802,5", Reason.COLUMNS),
        (b"timestamp,price,amount", Reason.NUMBER),
        (b"1514764802,,6", Reason.NUMBER),
        (b"1514764802,5,1_0", Reason.NUMBER),
        (b"1514764802,0x5,1", Reason.NUMBER),
        (b'1514764802,"5",6', Reason.NUMBER),
        (b"1514764802,5,\xff\xfe", Reason.NUMBER),
        (b"1514764802,nan,6", Reason.FINITE),
        (b"1514764802,5,inf", Reason.FINITE),
        (b"1514764802,-Infinity,1", Reason.FINITE),
        (b"1514764802,1e999,1", Reason.FINITE),
        (b"1514764802,0,6", Reason.PRICE),
        (b"1514764802,-5,6", Reason.PRICE),
        (b"1514764802,5,-0.1", Reason.VOLUME),
        (b"1514764802,1e101,1", Reason.AMOUNT),
        (b"1514764802,1e-101,0", Reason.AMOUNT),
        (b"1514764802,5,1e308", Reason.AMOUNT),
        (b"1514764802,5,1e-320", Reason.AMOUNT),
        (b"154764802,5,6", Reason.TIME),
        (b"-1514764802,5,6", Reason.TIME),
        (b"1514764802610,5,6", Reason.TIME),
        (b"99999999999999999999999999,5,6", Reason.TIME),
        (b"1e30,5,6", Reason.TIME),
        (b"1e99999,5,6", Reason.TIME),
        (b"1e9999999,5,6", Reason.TIME),
        (b"1e-9999999,5,6", Reason.TIME),
        (b"1e-99999999,5,6", Reason.TIME),
        (b"1E-2000000000,5,6", Reason.TIME),
        (b"1514764802,1e99999,1", Reason.FINITE),
        (b"1514764802,5,1e99999", Reason.FINITE),
    ],
)
def test_refused_lines(text: bytes, reason: Reason) -> None:
    found = parse_line(text, PLAIN, 3)
    assert isinstance(found, Rejected)
    assert found.reason is reason
    block = BlockParser(plain_layout()).parse(GOOD + b"\n" + text + b"\n" + GOOD)
    assert block.rows["line"].tolist() == [1, 3]
    assert block.rejected == (Rejected(2, reason, text.decode("utf-8", "backslashreplace")),)


CELLS = """
1514764802610 1514764802610.25 1514764802610999 1514764802610999.75 1514764802610999.1234
1514764802 1514764802.610 1514764802.1234567 1514764802.12345678901 1.6e9 -5 0 0.1 12e-3 +7
1e100 1e101 1e-100 1e-101 1e308
nan inf -inf 1e999 1e-999 abc 0x1 1_0 . 5. .5 -0.0 99999999999999999999 1e400 1e99999 é
"""
CELL = st.sampled_from(["", *CELLS.split()])
LINE = st.one_of(
    st.just(GOOD.decode()),
    st.just("1514764803,5.5,0"),
    st.lists(CELL, min_size=1, max_size=4).map(",".join),
    st.sampled_from(["", " ", '"', 'a"b,c', "\t", "1514764802,5,6\r"]),
)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(LINE, max_size=40), st.booleans(), st.integers(1, 5), st.sampled_from(list(TimeUnit))
)
def test_blocks_equal_line_by_line(
    lines: list[str], newline: bool, copies: int, unit: TimeUnit
) -> None:
    layout = replace(PLAIN, unit=unit)
    texts = [line.encode() for line in lines] * copies * 10
    data = b"\n".join(texts) + (b"\n" if newline and texts else b"")
    block = BlockParser(layout).parse(data)
    found = [
        parse_line(line, layout, number) for number, line in enumerate(texts, 1) if line.strip()
    ]
    good = [each for each in found if not isinstance(each, Rejected)]
    assert block.rows.tolist() == np.array(good, RAW).tolist()
    assert list(block.rejected) == [each for each in found if isinstance(each, Rejected)]


def test_line_numbers_go_on_over_blocks_and_skip_the_header() -> None:
    data = b"\xef\xbb\xbftimestamp,price,amount\r\n1514764802,5,6\r\n\r\nbad\r\n"
    parser = BlockParser(detect(data, "file", KRAKEN))
    first, second = parser.parse(data), parser.parse(b"1514764803,5,6\nworse\n")
    assert first.rows["line"].tolist() == [2]
    assert [each.line for each in first.rejected] == [4]
    assert second.rows["line"].tolist() == [5]
    assert [each.line for each in second.rejected] == [6]


def test_a_few_bad_lines_in_a_large_block() -> None:
    lines = [b"%d,%d.5,0.25" % (1514764802 + i, 1 + i) for i in range(50_000)]
    lines[0], lines[25_000], lines[-1] = b"half", b"1514764802,0,1", b"1514764802,x,1"
    block: Block = BlockParser(plain_layout()).parse(b"\n".join(lines))
    assert len(block.rows) == 49_997
    assert [(each.line, each.reason) for each in block.rejected] == [
        (1, Reason.COLUMNS),
        (25_001, Reason.PRICE),
        (50_000, Reason.NUMBER),
    ]
    assert block.rows["price"].tolist() == [line + 0.5 for line in block.rows["line"].tolist()]
