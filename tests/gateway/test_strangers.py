"""Answers to clients without a session: a flood pushes out the oldest, never who asked last."""

from __future__ import annotations

import asyncio

from qd_fluvio import Producer, TopicNotFound
from qd_gateway.core.limits import STRANGERS_WAITING_MAX
from qd_gateway.core.replies import client_error, login_challenge
from qd_gateway.metrics import GatewayMetrics
from qd_gateway.topics.link import Link
from qd_gateway.topics.strangers import Strangers
from qd_schemas.enums import ClientErrorType, Reason

FLOOD = 44


async def always() -> None:
    """Whoever asks may act."""


class Nobody(Link):
    """A cluster without any client's topics; it notes which were asked for."""

    def __init__(self) -> None:
        super().__init__(always)
        self.asked: list[str] = []
        self.all_asked = asyncio.Event()

    async def open_producer(self, topic: str) -> Producer:
        self.asked.append(topic)
        if len(self.asked) == STRANGERS_WAITING_MAX:
            self.all_asked.set()
        raise TopicNotFound(topic)


async def test_a_flood_pushes_out_the_oldest() -> None:
    link = Nobody()
    strangers = Strangers(link, GatewayMetrics())
    ids = range(1_000, 1_000 + STRANGERS_WAITING_MAX + FLOOD)
    for client_id in ids:
        error, reason = ClientErrorType.NOT_LOGGED_IN, Reason.NO_SESSION
        strangers.put(client_error(client_id, None, error, 1, reason))
    assert strangers.dropped == FLOOD
    running = asyncio.create_task(strangers.run())
    await link.all_asked.wait()
    running.cancel()
    assert link.asked == [f"client-{client_id}-error" for client_id in ids[FLOOD:]]


async def test_a_challenge_does_not_wait_among_refusals() -> None:
    link = Nobody()
    strangers = Strangers(link, GatewayMetrics())
    error, reason = ClientErrorType.NOT_LOGGED_IN, Reason.NO_SESSION
    strangers.put(login_challenge(21, bytes(32)))
    for client_id in range(1_000, 1_000 + STRANGERS_WAITING_MAX + FLOOD):
        strangers.put(client_error(client_id, None, error, 1, reason))
    assert (strangers.dropped, strangers.waiting) == (FLOOD, STRANGERS_WAITING_MAX + 1)
    running = asyncio.create_task(strangers.run())
    await link.all_asked.wait()
    running.cancel()
    assert "client-21-data" in link.asked[:100]
