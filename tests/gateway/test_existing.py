"""Which topics there are: one question for all who ask meanwhile, no answer older than who asks."""

from __future__ import annotations

import asyncio
from typing import cast

import pytest

from qd_fluvio import Fluvio, FluvioError, TopicInfo, connect
from qd_gateway.topics.existing import ExistingTopics


class Slow:
    """A cluster that answers when told to; each topic is there from some question on."""

    def __init__(self) -> None:
        self.questions: list[asyncio.Future[list[TopicInfo]]] = []

    async def topics(self) -> list[TopicInfo]:
        self.questions.append(asyncio.get_running_loop().create_future())
        return await self.questions[-1]


async def some_turns() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_all_who_ask_meanwhile_get_the_answer_to_the_next_question() -> None:
    slow, existing = Slow(), ExistingTopics()
    fluvio = cast(Fluvio, slow)
    first = asyncio.create_task(existing.names(fluvio))
    await some_turns()
    later = [asyncio.create_task(existing.names(fluvio)) for _ in range(100)]
    await some_turns()
    assert len(slow.questions) == 1
    slow.questions[0].set_result([])
    await some_turns()
    assert first.result() == frozenset()
    assert not any(task.done() for task in later)
    assert len(slow.questions) == 2
    slow.questions[1].set_exception(FluvioError("no answer"))
    for task in later:
        with pytest.raises(FluvioError, match="no answer"):
            await task


async def test_who_does_not_wait_any_more_takes_nobody_along() -> None:
    slow, existing = Slow(), ExistingTopics()
    fluvio = cast(Fluvio, slow)
    leaving = asyncio.create_task(existing.names(fluvio))
    await some_turns()
    staying = asyncio.create_task(existing.names(fluvio))
    leaving.cancel()
    await some_turns()
    slow.questions[0].set_exception(FluvioError("nobody hears this"))
    await some_turns()
    slow.questions[1].set_result([])
    assert await staying == frozenset()


async def test_a_topic_made_before_the_question_is_there(fluvio_endpoint: str) -> None:
    existing = ExistingTopics()
    async with connect(fluvio_endpoint) as fluvio:
        for number in range(5):
            name = f"existing-{number}"
            assert name not in await existing.names(fluvio)
            await fluvio.create_topic(name)
            assert name in await existing.names(fluvio)
            await fluvio.delete_topic(name)
