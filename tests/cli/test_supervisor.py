"""The supervisor with stand-in services, each a real process."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from typing import Any

import psutil
import pytest

from qd_cli.errors import OutputClosed, PartFailed, StackBusy
from qd_cli.stack import (
    Choices,
    Event,
    EventKind,
    Part,
    PartState,
    StateFolder,
    Supervisor,
    qd_parts,
    read_status,
)
from qd_cli.stack.processes import send
from qd_client.local import Identity, identify, is_alive
from qd_schemas.errors import QdError
from support.stacks import MakePart, left_over


class Told:
    """Collects what a supervisor tells."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.changed = asyncio.Event()

    def __call__(self, event: Event) -> None:
        self.events.append(event)
        self.changed.set()

    def kinds(self, part: str) -> list[EventKind]:
        return [event.kind for event in self.events if event.part == part]

    async def until(self, kind: EventKind, part: str) -> None:
        while kind not in self.kinds(part):
            self.changed.clear()
            await self.changed.wait()


def trio(part: MakePart, **behaviours: str) -> tuple[Part, ...]:
    def one(name: str, **options: Any) -> Part:
        return part(name, behaviours.get(name, "good"), **options)

    return (
        one("base", gives="QD_FLUVIO", endpoint="127.0.0.1:9999"),
        one("middle", needs=("base",), gives="QD_SYMDB", endpoint="127.0.0.1:8888"),
        one("top", needs=("middle",)),
    )


def environment(folder: StateFolder, name: str) -> dict[str, str]:
    found: dict[str, str] = json.loads((folder.path / f"{name}.env").read_text())
    return found


async def test_up_starts_in_order_and_down_stops_in_reverse(
    folder: StateFolder, part: MakePart
) -> None:
    supervisor = Supervisor(folder, trio(part))
    record = await supervisor.up()
    assert set(record.parts) == {"base", "middle", "top"}
    assert record.settings == {"QD_FLUVIO": "127.0.0.1:9999", "QD_SYMDB": "127.0.0.1:8888"}
    assert await supervisor.down() == ["base", "middle", "top"]
    order = (folder.path / "order.txt").read_text().split("\n")[:-1]
    assert order == [
        *("start base", "start middle", "start top"),
        *("stop top", "stop middle", "stop base"),
    ]
    assert left_over(folder.path) == []


async def test_parts_get_what_their_needs_provide(folder: StateFolder, part: MakePart) -> None:
    supervisor = Supervisor(folder, trio(part))
    await supervisor.up(Choices(die_with_starter=True))
    base, top = environment(folder, "base"), environment(folder, "top")
    assert "QD_FLUVIO" not in base
    assert (top["QD_FLUVIO"], top["QD_SYMDB"]) == ("127.0.0.1:9999", "127.0.0.1:8888")
    assert top["QD_DIE_WITH_PARENT"] == str(os.getpid())
    await supervisor.down()


async def test_up_again_leaves_alone_what_runs_and_starts_what_died(
    folder: StateFolder, part: MakePart
) -> None:
    parts = trio(part)
    first = await Supervisor(folder, parts).up()
    again = await Supervisor(folder, parts).up()
    assert again.parts == first.parts
    send(first.parts["top"].identity, signal.SIGKILL)
    await gone(first.parts["top"].identity)
    states = {status.name: status.state for status in read_status(folder, parts)}
    assert states["top"] is PartState.DIED
    told = Told()
    third = await Supervisor(folder, parts, tell=told).up()
    assert third.parts["base"] == first.parts["base"]
    assert third.parts["top"].pid != first.parts["top"].pid
    assert told.kinds("base") == [EventKind.RUNNING]
    await Supervisor(folder, parts).down()


async def test_parts_restart_when_what_they_need_moved(folder: StateFolder, part: MakePart) -> None:
    first = await Supervisor(folder, trio(part)).up()
    send(first.parts["base"].identity, signal.SIGKILL)
    await gone(first.parts["base"].identity)
    moved = (part("base", gives="QD_FLUVIO", endpoint="127.0.0.1:7777"), *trio(part)[1:])
    second = await Supervisor(folder, moved).up()
    assert second.parts["top"].pid != first.parts["top"].pid
    assert environment(folder, "top")["QD_FLUVIO"] == "127.0.0.1:7777"
    await Supervisor(folder, moved).down()
    assert left_over(folder.path) == []


async def test_external_parts_are_not_started(folder: StateFolder, part: MakePart) -> None:
    parts = trio(part)
    record = await Supervisor(folder, parts).up(
        Choices(external={"QD_FLUVIO": "cluster.example:9003"})
    )
    assert "base" not in record.parts
    assert environment(folder, "middle")["QD_FLUVIO"] == "cluster.example:9003"
    assert read_status(folder, parts)[0].state is PartState.EXTERNAL
    back = await Supervisor(folder, parts).up()
    assert "base" in back.parts
    assert environment(folder, "middle")["QD_FLUVIO"] == "127.0.0.1:9999"
    await Supervisor(folder, parts).down()


async def test_an_external_cluster_that_nobody_reaches_is_told_at_once(
    folder: StateFolder,
) -> None:
    parts = tuple(part for part in qd_parts() if part.name == "broker")
    for endpoint in ("127.0.0.1:1", "nonsense"):
        with pytest.raises(QdError, match=endpoint):
            await Supervisor(folder, parts).up(Choices(external={"QD_FLUVIO": endpoint}))


async def test_a_failed_start_shows_no_older_log(folder: StateFolder, part: MakePart) -> None:
    folder.make()
    folder.log_file("middle").write_text("of an earlier run\n")
    with pytest.raises(PartFailed) as caught:
        await Supervisor(folder, trio(part, middle="dies")).up()
    assert "no luck today" in str(caught.value)
    assert "of an earlier run" not in str(caught.value)


@pytest.mark.parametrize(
    ("behaviour", "says"),
    [
        ("dies", "ended before it was ready (exit code 3)"),
        ("silent", "was not ready after 3 s"),
        ("garbled", "ready file that makes no sense"),
    ],
)
async def test_a_part_that_does_not_start_undoes_the_start(
    folder: StateFolder, part: MakePart, behaviour: str, says: str
) -> None:
    parts = trio(part, middle=behaviour)
    seconds_max = 3 if behaviour == "silent" else 60
    with pytest.raises(PartFailed) as caught:
        await Supervisor(folder, parts, start_seconds_max=seconds_max).up()
    assert says in str(caught.value)
    assert str(folder.log_file("middle")) in str(caught.value)
    if behaviour == "dies":
        assert "no luck today" in str(caught.value)
    assert left_over(folder.path) == []
    assert folder.read().parts == {}


async def test_what_ran_before_a_failed_start_keeps_running(
    folder: StateFolder, part: MakePart
) -> None:
    base = trio(part)[:1]
    before = await Supervisor(folder, base).up()
    with pytest.raises(PartFailed):
        await Supervisor(folder, trio(part, top="dies")).up()
    assert is_alive(before.parts["base"].identity)
    await Supervisor(folder, base).down()


async def test_a_cancelled_start_stops_what_it_started(folder: StateFolder, part: MakePart) -> None:
    told = Told()
    supervisor = Supervisor(folder, trio(part, top="silent"), tell=told)
    task = asyncio.ensure_future(supervisor.up())
    await told.until(EventKind.STARTING, "top")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert left_over(folder.path) == []


async def test_cancelled_again_and_again_it_still_stops_all(
    folder: StateFolder, part: MakePart
) -> None:
    told = Told()
    parts = trio(part, base="stubborn", top="silent")
    supervisor = Supervisor(folder, parts, tell=told, stop_seconds_max=0.3)
    task = asyncio.ensure_future(supervisor.up())
    await told.until(EventKind.STARTING, "top")
    task.cancel()
    for name in ("top", "middle", "base"):
        await told.until(EventKind.STOPPING, name)
        task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert left_over(folder.path) == []
    assert folder.read().parts == {}


@pytest.mark.parametrize("kind", [EventKind.STARTING, EventKind.READY, EventKind.STOPPING])
async def test_whoever_is_told_may_be_gone(
    folder: StateFolder, part: MakePart, kind: EventKind
) -> None:
    """As where ``qd up`` and ``qd down`` write into a pipe that was closed."""
    closed = False

    def tell(event: Event) -> None:
        nonlocal closed
        closed = closed or (event.part, event.kind) in {("middle", kind), ("top", kind)}
        if closed:
            raise OutputClosed

    supervisor = Supervisor(folder, trio(part), tell=tell)
    with pytest.raises(OutputClosed):
        await up_and_down(supervisor)
    assert left_over(folder.path) == []
    assert folder.read().parts == {}


async def test_down_stops_all_although_the_record_cannot_be_written(
    folder: StateFolder, part: MakePart
) -> None:
    """As where the disk is full."""
    supervisor = Supervisor(folder, trio(part))
    await supervisor.up()
    folder.record_file.with_suffix(".json.part").mkdir()
    with pytest.raises(OSError, match=r"stack\.json\.part"):
        await supervisor.down()
    assert left_over(folder.path) == []


async def test_what_died_is_collected(folder: StateFolder, part: MakePart) -> None:
    supervisor = Supervisor(folder, (part("a"),))
    record = await supervisor.up()
    send(record.parts["a"].identity, signal.SIGKILL)
    await gone(record.parts["a"].identity)
    await supervisor.down()
    assert not psutil.pid_exists(record.parts["a"].pid)


async def test_a_stubborn_part_is_killed(folder: StateFolder, part: MakePart) -> None:
    told = Told()
    supervisor = Supervisor(folder, (part("a", "stubborn"),), tell=told, stop_seconds_max=0.3)
    await supervisor.up()
    await supervisor.down()
    assert told.kinds("a")[-1] is EventKind.KILLED
    assert left_over(folder.path) == []


async def test_a_stubborn_child_is_killed_once_its_part_has_stopped(
    folder: StateFolder, part: MakePart
) -> None:
    told = Told()
    supervisor = Supervisor(folder, (part("b", "parent"),), tell=told)
    await supervisor.up()
    child = identify(int((folder.path / "child.pid").read_text()))
    assert child is not None
    await supervisor.down()
    assert told.kinds("b")[-1] is EventKind.STOPPED
    assert not is_alive(child)
    assert left_over(folder.path) == []


async def test_hurry_kills_at_once(folder: StateFolder, part: MakePart) -> None:
    hurry, told = asyncio.Event(), Told()
    supervisor = Supervisor(
        folder, (part("a", "stubborn"),), tell=told, hurry=hurry, stop_seconds_max=3600
    )
    await supervisor.up()
    stopping = asyncio.ensure_future(supervisor.down())
    await told.until(EventKind.STOPPING, "a")
    hurry.set()
    await stopping
    assert left_over(folder.path) == []


async def test_down_finds_processes_that_the_record_lost(
    folder: StateFolder, part: MakePart
) -> None:
    parts = trio(part)
    await Supervisor(folder, parts).up()
    folder.record_file.unlink()
    await Supervisor(folder, parts).down()
    assert left_over(folder.path) == []


async def test_a_reused_pid_is_left_alone(folder: StateFolder, part: MakePart) -> None:
    parts = (part("a"),)
    record = await Supervisor(folder, parts).up()
    known = record.parts["a"]
    impostor = Identity(os.getpid(), known.start)
    assert not is_alive(impostor)
    assert not send(impostor, signal.SIGKILL)
    await Supervisor(folder, parts).down()


async def test_two_ups_at_once_give_one_stack(folder: StateFolder, part: MakePart) -> None:
    parts = trio(part)
    one, two = await asyncio.gather(Supervisor(folder, parts).up(), Supervisor(folder, parts).up())
    assert one.parts == two.parts
    await Supervisor(folder, parts).down()


async def test_a_lock_that_stays_held_is_reported(folder: StateFolder) -> None:
    async with folder.locked():
        with pytest.raises(StackBusy, match=str(os.getpid())):
            async with folder.locked(seconds_max=0):
                pass


async def test_who_waits_for_the_lock_may_still_turn_back(folder: StateFolder) -> None:
    """``qd down`` breaks off at a signal, until there is something to be stopped."""
    begun: list[str] = []
    supervisor = Supervisor(folder, ())
    async with folder.locked():
        waiting = asyncio.ensure_future(supervisor.down(lambda: begun.append("down")))
        await asyncio.wait({waiting}, timeout=0)
        assert begun == []
    await waiting
    assert begun == ["down"]


async def test_a_chosen_port_is_passed_on(folder: StateFolder, part: MakePart) -> None:
    parts = trio(part)
    record = await Supervisor(folder, parts).up(Choices(ports={"base": 4711}))
    assert "4711" in psutil.Process(record.parts["base"].pid).cmdline()
    await Supervisor(folder, parts).down()


async def test_status_measures_a_running_part(folder: StateFolder, part: MakePart) -> None:
    parts = (part("a"),)
    assert read_status(folder, parts)[0].state is PartState.STOPPED
    await Supervisor(folder, parts).up()
    status = read_status(folder, parts)[0]
    assert status.state is PartState.RUNNING
    assert status.memory_bytes
    assert status.peak_memory_bytes
    assert status.peak_memory_bytes >= status.memory_bytes
    await Supervisor(folder, parts).down()


async def up_and_down(supervisor: Supervisor) -> None:
    await supervisor.up()
    await supervisor.down()


async def gone(identity: Identity) -> None:
    """Wait until a process has ended."""
    try:
        handle = os.pidfd_open(identity.pid)
    except ProcessLookupError:
        return
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(handle, ended.set)
    await ended.wait()
    loop.remove_reader(handle)
    os.close(handle)
