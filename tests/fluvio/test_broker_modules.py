"""The SmartModules on the disk: durable, bounded, and told about when they are damaged."""

from __future__ import annotations

import asyncio
import gzip
import shutil
import threading
from pathlib import Path
from typing import Any, cast

import pytest

from qd_fluvio.broker import modules
from qd_fluvio.broker.cluster import Cluster
from qd_fluvio.broker.errors import InvalidModule, ModuleNotFound
from qd_fluvio.broker.modules import ModuleStore, wasm_of
from qd_fluvio.broker.settings import Faults
from qd_fluvio.broker.sharing import all_ended
from qd_fluvio.errors import LogError
from qd_fluvio.wire import admin
from qd_fluvio.wire.modules import ModuleMeta, ModulePackage, ModuleSpec, ModuleWasm

WASM = b"\0asm\x01\0\0\0"
PACKAGE = ModulePackage("filter", "qd", "1.2.0", "0.1.0", license="MIT", visibility=1)


def spec(wasm: bytes = WASM, package: ModulePackage | None = None) -> ModuleSpec:
    return ModuleSpec(ModuleMeta(package, ()) if package else None, None, ModuleWasm(0, wasm))


async def test_modules_survive_a_restart(tmp_path: Path) -> None:
    store = ModuleStore(tmp_path)
    await store.create("plain", spec())
    await store.create("packed", spec(gzip.compress(WASM * 100)))
    await store.create("ignored", spec(package=PACKAGE))
    await store.create("doomed", spec())
    await store.delete("doomed")
    again = ModuleStore(tmp_path)
    assert again.modules() == store.modules()
    assert [item.name for item in again.modules()] == ["filter-qd-1.2.0", "packed", "plain"]
    assert again.payload("plain") == again.payload("qd/filter@1.2.0") == WASM
    assert wasm_of(again.payload("packed"), "packed") == WASM * 100
    with pytest.raises(ModuleNotFound, match="doomed"):
        again.payload("doomed")


async def test_a_write_that_was_cut_short_is_not_there(tmp_path: Path) -> None:
    store = ModuleStore(tmp_path)
    await store.create("whole", spec())
    whole = tmp_path / "whole.module"
    whole.with_name("torn.module.part").write_bytes(whole.read_bytes()[:9])
    assert [item.name for item in ModuleStore(tmp_path).modules()] == ["whole"]


@pytest.mark.parametrize("damage", ["cut", "renamed"])
async def test_a_damaged_file_is_named(tmp_path: Path, damage: str) -> None:
    await ModuleStore(tmp_path).create("it", spec())
    path = tmp_path / "it.module"
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-3])
    else:
        path.rename(tmp_path / "other.module")
    with pytest.raises(LogError, match=r"\.module: .*remove it"):
        ModuleStore(tmp_path)


async def test_there_is_room_for_so_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(modules, "MODULES_MAX", 2)
    monkeypatch.setattr(modules, "MODULES_BYTES_MAX", 30)
    store = ModuleStore(tmp_path)
    await store.create("a", spec())
    with pytest.raises(InvalidModule, match="delete some first"):
        await store.create("b", spec(WASM + bytes(20)))
    await store.create("b", spec())
    with pytest.raises(InvalidModule, match="2 SmartModules already"):
        await store.create("c", spec())
    await store.create("b", spec(WASM + bytes(8)))  # in place of itself


async def test_a_disk_that_refuses(tmp_path: Path) -> None:
    folder = tmp_path / "modules"
    store = ModuleStore(folder)
    await store.create("kept", spec())
    shutil.rmtree(folder)
    with pytest.raises(LogError, match="cannot keep SmartModule 'new'"):
        await store.create("new", spec())
    with pytest.raises(LogError, match="cannot delete SmartModule 'kept'"):
        await store.delete("kept")
    assert [item.name for item in store.modules()] == ["kept"]


@pytest.mark.parametrize("what", ["_write", "_remove"])
async def test_a_client_that_leaves_leaves_nothing_half_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    begun, may_go_on, work = asyncio.Event(), threading.Event(), getattr(ModuleStore, what)
    loop = asyncio.get_running_loop()
    store = ModuleStore(tmp_path)
    await store.create("it", spec())
    nothing = cast(Any, None)
    cluster = Cluster(nothing, nothing, store, spu=nothing, faults=Faults())

    def late(*arguments: object) -> None:
        loop.call_soon_threadsafe(begun.set)
        may_go_on.wait()
        work(*arguments)

    monkeypatch.setattr(ModuleStore, what, late)
    wanted = admin.CreateModule("new", False, None, spec())
    asked = cluster.create_module(wanted) if what == "_write" else cluster.delete_module("it")
    asking = asyncio.ensure_future(asked)
    await begun.wait()
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    may_go_on.set()
    await all_ended()
    # What is kept now is what a broker that starts now finds.
    await store.create("later", spec())
    assert ModuleStore(tmp_path).modules() == store.modules()
