"""An inbox keeps order, is bounded, and says how its stream ended."""

from __future__ import annotations

import asyncio

import pytest

from qd_client.errors import GatewayLost
from qd_client.inbox import Inbox
from qd_client.limits import STREAM_BYTES_MAX, TAKE_BYTES_MAX


def inbox() -> Inbox:
    return Inbox(lambda: None)


async def test_records_come_in_order() -> None:
    box = inbox()
    for payload in (b"a", b"b", b"c"):
        box.put(payload)
    assert await box.take() == [b"a", b"b", b"c"]


async def test_an_iterator_waits_for_a_record() -> None:
    box = inbox()
    taking = asyncio.create_task(box.take())
    await asyncio.wait([taking], timeout=0)
    assert box.is_starved
    box.put(b"a")
    assert await taking == [b"a"]
    assert not box.is_starved


async def test_a_full_inbox_has_room_after_a_take() -> None:
    box = inbox()
    while not box.is_full:
        box.put(bytes(64_000))
    waiting = asyncio.create_task(box.room())
    await asyncio.wait([waiting], timeout=0)
    assert not waiting.done()
    taken = await box.take()
    assert TAKE_BYTES_MAX <= sum(map(len, taken)) < STREAM_BYTES_MAX
    await waiting


async def test_what_arrived_before_a_failure_is_still_given() -> None:
    box = inbox()
    box.put(b"a")
    box.fail(GatewayLost("gone"))
    box.fail(GatewayLost("later"))
    assert await box.take() == [b"a"]
    for _ in range(2):
        with pytest.raises(GatewayLost, match="gone"):
            await box.take()


async def test_a_failure_wakes_the_iterator_and_the_reader() -> None:
    box = inbox()
    taking = asyncio.create_task(box.take())
    await asyncio.wait([taking], timeout=0)
    box.fail(GatewayLost("gone"))
    with pytest.raises(GatewayLost):
        await taking
    assert box.begun.is_set()
    await box.room()
