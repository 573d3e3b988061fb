"""One SmartModule in wasmtime: its memory and time bounded, its faults told apart.

Imported only when a first module is used, because the library takes time to load. A guest
may be used by any thread, but by one at a time. Nothing here calls back into Python: what
a guest imports is WASM too, or the library's own.
"""

from __future__ import annotations

import ctypes
from typing import Any

import wasmtime

from qd_fluvio.broker.smartmodules.errors import ModuleFault, too_much_memory
from qd_fluvio.broker.smartmodules.limits import (
    MEMORY_BYTES_MAX,
    OUTPUT_BYTES_MAX,
    TABLE_ELEMENTS_MAX,
    WORK_S_MAX,
)
from qd_fluvio.broker.smartmodules.sections import check_sections

_COPY_RECORDS = "copy_records"
_POLL = ("wasi_snapshot_preview1", "poll_oneoff")
_SIGNATURE = "(i32, i32, i32) -> i32"
_PAGE_BYTES = 65_536
_UNSIGNED = 0xFFFF_FFFF
# A store holds the guest and the host module below, and no more.
_INSTANCES_MAX = 2
_TABLES_MAX = 8
_MEMORIES_MAX = 1
# What guests call. Where a guest says its output is, is kept until it returns. Sleeping, which
# no deadline could end, is refused with ENOSYS.
_HOST = """
(module
  (global $at (export "at") (mut i32) (i32.const 0))
  (global $size (export "size") (mut i32) (i32.const 0))
  (func (export "copy_records") (param i32 i32)
    (global.set $at (local.get 0))
    (global.set $size (local.get 1)))
  (func (export "poll_oneoff") (param i32 i32 i32 i32) (result i32)
    (i32.const 52)))
"""


class Engine:
    """Compiles modules, and keeps the clock that ends those that run too long."""

    def __init__(self) -> None:
        config = wasmtime.Config()
        config.epoch_interruption = True
        config.parallel_compilation = False  # the cores belong to the other threads too
        self._engine = wasmtime.Engine(config)
        self._host = wasmtime.Module(self._engine, _HOST)

    def compile(self, wasm: bytes) -> wasmtime.Module:
        """Make a module of WASM.

        Raises
        ------
        ModuleFault
            If it is none.
        """
        check_sections(wasm)
        try:
            return wasmtime.Module(self._engine, wasm)
        except wasmtime.WasmtimeError as error:
            raise ModuleFault(_outermost(error)) from None

    def tick(self) -> None:
        """Let time pass for all guests."""
        self._engine.increment_epoch()

    def guest(self, module: wasmtime.Module, ticks: int) -> Guest:
        """An instance of its own, whose start may take that many ticks.

        Raises
        ------
        ModuleFault
            If the module does not fit the interface.
        ModuleFailed
            If it wants too much memory.
        """
        _check_memory(module)
        store = wasmtime.Store(self._engine)
        store.set_limits(
            MEMORY_BYTES_MAX, TABLE_ELEMENTS_MAX, _INSTANCES_MAX, _TABLES_MAX, _MEMORIES_MAX
        )
        store.set_epoch_deadline(ticks)
        store.set_wasi(wasmtime.WasiConfig())  # no files, no environment, output nowhere
        return Guest(store, self._host, module)


class Guest:
    """One instance of a module."""

    def __init__(
        self, store: wasmtime.Store, host: wasmtime.Module, module: wasmtime.Module
    ) -> None:
        self._store = store
        try:
            linker, self._host = _linked(store, host, module)
            self._exports = linker.instantiate(store, module).exports(store)
        except (wasmtime.WasmtimeError, wasmtime.Trap) as error:
            raise ModuleFault(f"Failed to instantiate: {_outermost(error)}") from None
        memory = self._exports.get("memory")
        if not isinstance(memory, wasmtime.Memory):
            raise ModuleFault("Missing memory")
        self._memory = memory

    @property
    def memory_bytes(self) -> int:
        """How large its memory has grown."""
        return self._memory.data_len(self._store)

    def allow(self, ticks: int) -> None:
        """End what it does when that many ticks have passed from now."""
        self._store.set_epoch_deadline(ticks)

    def has(self, name: str) -> bool:
        """Whether it exports that function of the interface.

        Raises
        ------
        ModuleFault
            If it does, but with other parameters.
        """
        function = self._exports.get(name)
        if not isinstance(function, wasmtime.Func):
            return False
        found = _signature(function.type(self._store))
        if found != _SIGNATURE:
            raise ModuleFault(
                f"type mismatch: found {name}{found}, expected {_SIGNATURE}: "
                "build the SmartModule with a newer fluvio-smartmodule"
            )
        return True

    def call(self, name: str, data: bytearray, version: int) -> int:
        """Call a function of the interface with one input; gives its status.

        Raises
        ------
        ModuleFault
            If it traps, takes too long, or has no room for the input.
        """
        self._host["at"].set_value(self._store, 0)
        self._host["size"].set_value(self._store, 0)
        at = self._run("alloc", len(data)) & _UNSIGNED
        if at + len(data) > self.memory_bytes:
            raise ModuleFault(f"found no room for {len(data)} bytes where alloc said: {at}")
        self._memory.write(self._store, data, at)
        return int(self._run(name, at, len(data), version))

    def output(self) -> bytes:
        """What the last call said is its output; nothing if it said nothing.

        Raises
        ------
        ModuleFault
            If that is too large, or not in its memory.
        """
        at = self._host["at"].value(self._store) & _UNSIGNED
        size = self._host["size"].value(self._store) & _UNSIGNED
        if not size:
            return b""
        if size > OUTPUT_BYTES_MAX or at + size > self.memory_bytes:
            raise ModuleFault(
                f"found an output of {size} bytes at {at}, expected at most {OUTPUT_BYTES_MAX} "
                f"within {self.memory_bytes}: make fewer or smaller records"
            )
        data = ctypes.string_at(
            ctypes.addressof(self._memory.get_buffer_ptr(self._store, size, at)), size
        )
        if "dealloc" in self._exports:
            # Guests forget their output, so that it outlives the call.
            self._run("dealloc", at, size)
        return data

    def _run(self, name: str, *arguments: int) -> Any:
        function = self._exports.get(name)
        if not isinstance(function, wasmtime.Func):
            raise ModuleFault(f"missing {name}")
        try:
            return function(self._store, *arguments)
        except wasmtime.Trap as error:
            if error.trap_code is wasmtime.TrapCode.INTERRUPT:
                raise ModuleFault(
                    f"the module ran for over {WORK_S_MAX:g} s: let it do less for a record"
                ) from None
            raise ModuleFault(_outermost(error)) from None
        except wasmtime.WasmtimeError as error:
            raise ModuleFault(_outermost(error)) from None


def _linked(
    store: wasmtime.Store, host: wasmtime.Module, module: wasmtime.Module
) -> tuple[wasmtime.Linker, Any]:
    """What the module imports: WASI, and the host's part of the interface."""
    linker = wasmtime.Linker(store.engine)
    linker.define_wasi()
    linker.allow_shadowing = True
    exports = linker.instantiate(store, host).exports(store)
    linker.define(store, *_POLL, exports["poll_oneoff"])
    place = next((item.module for item in module.imports if item.name == _COPY_RECORDS), None)
    if place is None:
        raise wasmtime.WasmtimeError("At least one import is required")
    linker.define(store, place, _COPY_RECORDS, exports[_COPY_RECORDS])
    return linker, exports


def _check_memory(module: wasmtime.Module) -> None:
    for item in module.exports:
        kind = item.type
        if isinstance(kind, wasmtime.MemoryType):
            wanted = kind.limits.min * _PAGE_BYTES
            if wanted > MEMORY_BYTES_MAX:
                raise too_much_memory(wanted, MEMORY_BYTES_MAX)


def _signature(kind: wasmtime.FuncType) -> str:
    results = ", ".join(str(item) for item in kind.results)
    return f"({', '.join(str(item) for item in kind.params)}) -> {results}"


def _outermost(error: Exception) -> str:
    """What went wrong, without the causes that the library lists after it."""
    return str(error).partition("\n\nCaused by:")[0].strip()
