"""SmartModules and their bounds: time, memory, numbers, and threads that are left alone."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import closing

import pytest

from qd_fluvio.broker.errors import ModuleNotFound
from qd_fluvio.broker.smartmodules import chain as chains
from qd_fluvio.broker.smartmodules import runner as runners
from qd_fluvio.broker.smartmodules.chain import Chain, Compiled
from qd_fluvio.broker.smartmodules.engine import Engine, Guest
from qd_fluvio.broker.smartmodules.errors import ModuleFailed, ModuleFault
from qd_fluvio.broker.smartmodules.runner import ModuleRunner, RunningChain
from qd_fluvio.broker.smartmodules.transform import Made, transformed
from qd_fluvio.wire.failures import ErrorCode
from support import wat
from support.broker import batch_of

BATCH = batch_of(b"a", b"b", b"c")
TICKS = 1_000


def find(name: str) -> bytes:
    """The only stored module."""
    if name != "upper":
        raise ModuleNotFound(name)
    return wat.UPPER


@pytest.fixture
async def runner() -> AsyncIterator[ModuleRunner]:
    """Where modules run; all its work ends with the test."""
    with closing(ModuleRunner(find)) as made:
        yield made


@pytest.fixture(scope="module")
def engine() -> Engine:
    """An engine that all tests share."""
    return Engine()


def guest_of(engine: Engine, wasm: bytes) -> Guest:
    return engine.guest(engine.compile(wasm), TICKS)


async def passed(chain: RunningChain) -> Made:
    """What becomes of the batch."""

    def work(started: Chain) -> list[Made]:
        return transformed(started, data=BATCH, start=0, room=1_000)

    return (await chain.run(work))[0]


def test_a_guest_ends_when_its_ticks_have_passed(engine: Engine) -> None:
    guest = guest_of(engine, wat.ENDLESS)
    guest.allow(2)
    for _ in range(3):
        engine.tick()
    with pytest.raises(ModuleFault, match="the module ran for over 5 s"):
        guest.call("filter", bytearray(8), 24)


def test_a_guest_gets_no_more_memory_than_it_may(engine: Engine) -> None:
    guest = guest_of(engine, wat.GREEDY)
    with pytest.raises(ModuleFault, match="wasm backtrace"):
        guest.call("filter", bytearray(8), 24)
    assert 100 * 1024 * 1024 < guest.memory_bytes <= 128 * 1024 * 1024


def test_output_is_given_back_to_the_guest(engine: Engine) -> None:
    guest = guest_of(engine, wat.TELLS_WHAT_IT_GOT_BACK)
    for expected in (b"\x00", b"\x01", b"\x01"):
        assert guest.call("filter", bytearray(8), 24) == 0
        assert guest.output() == expected


@pytest.mark.parametrize(
    ("place", "text"),
    [
        ("(i32.const -4) (i32.const 8)", "found an output of 8 bytes at 4294967292"),
        ("(i32.const 0) (i32.const -1)", "found an output of 4294967295 bytes"),
        ("(i32.const 131071) (i32.const 2)", "found an output of 2 bytes at 131071"),
    ],
)
def test_output_outside_of_memory_is_refused(engine: Engine, place: str, text: str) -> None:
    guest = guest_of(engine, wat.module(("filter", f"(call $output {place}) (i32.const 0)")))
    assert guest.call("filter", bytearray(8), 24) == 0
    with pytest.raises(ModuleFault, match=text):
        guest.output()


def test_input_outside_of_memory_is_refused(engine: Engine) -> None:
    guest = guest_of(engine, wat.BAD_ALLOC)
    with pytest.raises(ModuleFault, match="found no room for 8 bytes where alloc said"):
        guest.call("filter", bytearray(8), 24)


def test_compiled_modules_are_kept_but_not_all(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chains, "COMPILED_MAX", 2)
    kept = Compiled(engine)
    first, second = kept.get(wat.UPPER), kept.get(wat.TWICE)
    assert kept.get(wat.UPPER) is first
    kept.get(wat.COUNT)
    assert kept.get(wat.UPPER) is first
    assert kept.get(wat.TWICE) is not second
    monkeypatch.setattr(chains, "COMPILED_BYTES_MAX", 0)
    assert kept.get(wat.DROP_ALL) is not kept.get(wat.DROP_ALL)


async def test_too_many_chains_are_refused(
    runner: ModuleRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runners, "CHAINS_MAX", 1)
    chain = await runner.open([wat.ad_hoc(wat.UPPER)], 24)
    with pytest.raises(ModuleFailed) as refused:
        await runner.open([wat.ad_hoc(wat.UPPER)], 24)
    assert refused.value.failure.code == ErrorCode.SMARTMODULE_CHAIN_INIT_ERROR
    chain.close()
    # What cannot be started is not counted either.
    for wasm in (wat.NO_TRANSFORM, wat.TRAPPING):
        with pytest.raises(ModuleFailed):
            await passed(await runner.open([wat.ad_hoc(wasm)] * 17, 24))
    (await runner.open([wat.ad_hoc(wat.UPPER)], 24)).close()


async def test_all_chains_together_are_bounded_in_memory(
    runner: ModuleRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runners, "TOTAL_BYTES_MAX", 200_000)
    chain = await runner.open([wat.ad_hoc(wat.UPPER)], 24)
    with pytest.raises(ModuleFailed) as refused:
        await runner.open([wat.ad_hoc(wat.UPPER)], 24)
    assert refused.value.failure.code == ErrorCode.SMARTMODULE_MEMORY_LIMIT_EXCEEDED
    with pytest.raises(ModuleFailed):
        chain.hold(200_000)
    chain.hold(1_000)
    chain.close()
    greedy = await runner.open([wat.ad_hoc(wat.GREEDY)], 24)
    with pytest.raises(ModuleFailed):
        await passed(greedy)
    greedy.close()
    (await runner.open([wat.ad_hoc(wat.UPPER)], 24)).close()


async def test_work_that_takes_too_long_ends(
    runner: ModuleRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runners, "WORK_TICKS", 1)
    chain = await runner.open([wat.ad_hoc(wat.ENDLESS)], 24)
    made = await passed(chain)
    assert made.ended
    assert "the module ran for over 5 s" in made.failure.details[0]
    chain.close()


async def test_a_caller_that_goes_leaves_the_modules_to_their_thread(
    runner: ModuleRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runners, "CHAINS_MAX", 1)
    monkeypatch.setattr(runners, "THREADS", 1)
    monkeypatch.setattr(runners, "WORK_TICKS", 1)
    opening = asyncio.create_task(runner.open([wat.ad_hoc(wat.ENDLESS_INIT)], 24))
    await asyncio.wait([opening], timeout=0)
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    with pytest.raises(ModuleFailed):
        await runner.open([wat.ad_hoc(wat.UPPER)], 24)
    await runner.submit(lambda: None)  # the thread is free again
    (await runner.open([wat.ad_hoc(wat.UPPER)], 24)).close()


async def begun(chain: RunningChain) -> asyncio.Task[list[Made]]:
    """The batch on its way through the chain, in a thread by now."""
    there = threading.Event()

    def work(started: Chain) -> list[Made]:
        there.set()
        return transformed(started, data=BATCH, start=0, room=1_000)

    running = asyncio.create_task(chain.run(work))
    await asyncio.to_thread(there.wait)
    return running


async def test_work_that_nobody_waits_for_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runners, "CHAINS_MAX", 2)
    monkeypatch.setattr(runners, "THREADS", 1)
    with closing(ModuleRunner(find)) as runner:
        endless = await runner.open([wat.ad_hoc(wat.ENDLESS)], 24)
        running = await begun(endless)
        opening = asyncio.create_task(runner.open([wat.ad_hoc(wat.UPPER)], 24))
        await asyncio.wait([opening], timeout=0)
        opening.cancel()
        await asyncio.wait([opening])
        left = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(left.set_result, None)
        await left
        assert not running.done()
        runner.admit()  # its place is free
        runner.leave()
    assert (await running)[0].ended
    endless.close()


async def test_closing_ends_work_that_would_go_on() -> None:
    runner = ModuleRunner(find)
    chain = await runner.open([wat.ad_hoc(wat.ENDLESS)], 24)
    running = await begun(chain)
    runner.close()
    assert (await running)[0].ended
    chain.close()


async def test_a_stored_module_that_is_not_there(runner: ModuleRunner) -> None:
    with pytest.raises(ModuleNotFound):
        await runner.open([wat.stored("nope")], 24)
    chain = await runner.open([wat.stored("upper")], 24)
    assert (await passed(chain)).records.count == 3
    chain.close()
    with pytest.raises(ModuleFailed, match="have ended"):
        await passed(chain)


def test_a_runner_that_ran_nothing_closes() -> None:
    ModuleRunner(find).close()
