"""Rows of several markets in one order, however they are cut into pages."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from qd_schemas.arrays import TRADE, Rows
from qd_store.reading.merging import PAGES_ROWS_MAX, merged, page_rows_of

MERGED = np.dtype([("market", "<i4"), *TRADE.descr])


def trades(times: list[int]) -> Rows:
    rows = np.zeros(len(times), TRADE)
    rows["sequence"] = np.arange(1, len(times) + 1)
    rows["time"] = np.sort(times)
    rows["price"] = rows["sequence"] * 0.5
    return rows


async def pages(rows: Rows, size: int) -> AsyncGenerator[Rows]:
    for start in range(0, len(rows), size):
        yield rows[start : start + size]


def all_merged(markets: list[Rows], size: int) -> list[Rows]:
    async def run() -> list[Rows]:
        sources = [(number, pages(rows, size)) for number, rows in enumerate(markets, 7)]
        return [rows async for rows in merged(sources, MERGED)]

    return asyncio.run(run())


@settings(deadline=None)
@given(
    st.lists(st.lists(st.integers(0, 12), max_size=40).map(trades), max_size=5),
    st.integers(1, 12),
)
def test_the_order_is_time_then_market_then_sequence(markets: list[Rows], size: int) -> None:
    found = all_merged(markets, size)
    assert all(len(rows) for rows in found)
    rows = np.concatenate([np.empty(0, MERGED), *found]).tolist()
    expected = [(number, *row) for number, rows in enumerate(markets, 7) for row in rows.tolist()]
    assert rows == sorted(expected, key=lambda row: (row[2], row[0], row[1]))


def test_no_more_is_at_hand_than_pages() -> None:
    """Also where a page and more are of one time, as an exchange's second may be."""
    markets = [trades([5] * 10_000), trades([*range(10), *[5] * 10_000]), trades([9])]
    assert max(map(len, all_merged(markets, 100))) <= 3 * 100 * 2


def test_markets_alike_are_given_by_pages_and_not_by_each_ones_end() -> None:
    random = np.random.default_rng(7)
    markets = [trades(random.integers(0, 10**9, 1_000).tolist()) for _ in range(50)]
    assert len(all_merged(markets, 100)) <= 3 * 1_000 // 100


def test_pages_of_many_markets_are_smaller() -> None:
    sizes = [page_rows_of(count) for count in (1, 10, 100, 1000, 10_000)]
    assert sizes == sorted(sizes, reverse=True)
    assert all(
        size * count <= PAGES_ROWS_MAX
        for size, count in zip(sizes[:4], (1, 10, 100, 1000), strict=True)
    )
