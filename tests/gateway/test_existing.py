"""Which topics there are: one question for all who ask meanwhile, no answer older than who asks."""

from __future__ import annotations

import asyncio
from typing import cast

import pytest

from qd_fluvio import Fluvio, FluvioError, TopicInfo, connect
from qd_gateway.topics.existing import NAMES_MAX, ExistingTopics


class Slow:
    """A cluster that answers when told to; each topic is there from some question on."""

    def __init__(self) -> None:
        self.questions: list[asyncio.Future[list[TopicInfo]]] = []
        self.asked: list[tuple[str, ...]] = []

    async def topics(self, *names: str) -> list[TopicInfo]:
        self.asked.append(names)
        self.questions.append(asyncio.get_running_loop().create_future())
        return await self.questions[-1]


async def some_turns() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_all_who_ask_meanwhile_get_the_answer_to_the_next_question() -> None:
    slow, existing = Slow(), ExistingTopics()
    fluvio = cast(Fluvio, slow)
    first = asyncio.create_task(existing.has(fluvio, "first"))
    await some_turns()
    later = [asyncio.create_task(existing.has(fluvio, f"later-{n}")) for n in range(NAMES_MAX)]
    await some_turns()
    assert slow.asked == [("first",)]
    slow.questions[0].set_result([])
    await some_turns()
    assert first.result() is False
    assert not any(task.done() for task in later)
    assert set(slow.asked[1]) == {f"later-{n}" for n in range(NAMES_MAX)}
    slow.questions[1].set_exception(FluvioError("no answer"))
    for task in later:
        with pytest.raises(FluvioError, match="no answer"):
            await task
    assert len(slow.asked) == 2


async def test_where_too_many_want_to_know_all_are_asked_for() -> None:
    slow, existing = Slow(), ExistingTopics()
    fluvio = cast(Fluvio, slow)
    asking = [asyncio.create_task(existing.has(fluvio, f"t-{n}")) for n in range(NAMES_MAX + 2)]
    await some_turns()
    slow.questions[0].set_result([])
    await some_turns()
    assert [len(names) for names in slow.asked] == [1, 0]
    slow.questions[1].set_result([TopicInfo("t-7", 1, 1)])
    assert [number for number, task in enumerate(asking) if await task] == [7]


async def test_who_does_not_wait_any_more_takes_nobody_along() -> None:
    slow, existing = Slow(), ExistingTopics()
    fluvio = cast(Fluvio, slow)
    leaving = asyncio.create_task(existing.has(fluvio, "leaving"))
    await some_turns()
    staying = asyncio.create_task(existing.has(fluvio, "staying"))
    leaving.cancel()
    await some_turns()
    slow.questions[0].set_exception(FluvioError("nobody hears this"))
    await some_turns()
    slow.questions[1].set_result([])
    assert await staying is False


async def test_a_topic_made_before_the_question_is_there(fluvio_endpoint: str) -> None:
    existing = ExistingTopics()
    async with connect(fluvio_endpoint) as fluvio:
        await fluvio.create_topic("existing-10")  # whose name has others' in it
        for number in range(5):
            name = f"existing-{number}"
            assert not await existing.has(fluvio, name)
            await fluvio.create_topic(name)
            assert await existing.has(fluvio, name)
            await fluvio.delete_topic(name)
        await fluvio.delete_topic("existing-10")
