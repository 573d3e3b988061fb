"""Several SmartModules in a row: made from a request, started, and run on one batch.

Blocking, for one thread at a time: `runner` gives it one.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from qd_fluvio.broker.modules import wasm_of
from qd_fluvio.broker.smartmodules.errors import (
    ModuleFault,
    cannot_start,
    invalid,
    look_back_failed,
)
from qd_fluvio.broker.smartmodules.interface import (
    INIT_REFUSED,
    LOOK_BACK_REFUSED,
    TRANSFORMS,
    Export,
    ModuleInput,
    ModuleOutput,
    decode_aggregate_output,
    decode_init_error,
    decode_look_back_error,
    decode_output,
    encode_aggregate_input,
    encode_init_input,
    encode_input,
    status_text,
)
from qd_fluvio.broker.smartmodules.limits import (
    CHAIN_MODULES_MAX,
    COMPILED_BYTES_MAX,
    COMPILED_MAX,
    WASM_BYTES_MAX,
)
from qd_fluvio.broker.smartmodules.records import Block
from qd_fluvio.errors import WireError
from qd_fluvio.wire.codec import Buffer
from qd_fluvio.wire.compression import Compression, decompress
from qd_fluvio.wire.smartmodules import (
    AggregateKind,
    GenericKind,
    Invocation,
    StoredModule,
)

if TYPE_CHECKING:
    from qd_fluvio.broker.smartmodules.engine import Engine, Guest


@dataclass(frozen=True, slots=True)
class Source:
    """A module of a request, and its bytes as they are stored or were sent."""

    invocation: Invocation
    payload: Buffer


class Compiled:
    """Modules compiled before, the least recently used forgotten first."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._kept: OrderedDict[bytes, tuple[Any, int]] = OrderedDict()
        self._kept_bytes = 0
        self._lock = threading.Lock()

    def get(self, wasm: bytes) -> Any:
        """The module of that WASM, compiled now if it was not."""
        key = hashlib.sha256(wasm).digest()
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key][0]
        module = self._engine.compile(wasm)
        with self._lock:
            if key not in self._kept:
                self._kept[key] = (module, len(wasm))
                self._kept_bytes += len(wasm)
            while len(self._kept) > COMPILED_MAX or self._kept_bytes > COMPILED_BYTES_MAX:
                _, (_, size) = self._kept.popitem(last=False)
                self._kept_bytes -= size
        return module


class Link:
    """One module of a chain, started."""

    def __init__(self, guest: Guest, invocation: Invocation, version: int) -> None:
        self.guest = guest
        self._version = version
        self._accumulator = _accumulator(invocation)
        transform = next((name for name in TRANSFORMS if guest.has(name)), None)
        if transform is None:
            raise ModuleFault("No valid smartmodule found")
        self._transform = transform
        self.lookback = invocation.lookback if guest.has(Export.LOOK_BACK) else None
        if guest.has(Export.INIT):
            self._init(invocation)

    def process(self, value: ModuleInput) -> ModuleOutput:
        """What the module makes of one batch.

        Raises
        ------
        ModuleFault
            If it cannot.
        """
        if self._transform is not Export.AGGREGATE:
            self._call(self._transform, encode_input(value, self._version))
            return decode_output(self.guest.output(), self._version)
        data = encode_aggregate_input(value, self._accumulator, self._version)
        self._call(self._transform, data)
        output, self._accumulator = decode_aggregate_output(self.guest.output(), self._version)
        return output

    def look_back(self, records: Block) -> None:
        """Let the module see earlier records.

        Raises
        ------
        ModuleFault
            If it cannot, or refuses one.
        """
        data = encode_input(ModuleInput(0, 0, records), self._version)
        status = self.guest.call(Export.LOOK_BACK, data, self._version)
        if status == LOOK_BACK_REFUSED:
            raise ModuleFault(decode_look_back_error(self.guest.output(), self._version))
        _check_status(Export.LOOK_BACK, status)

    def _init(self, invocation: Invocation) -> None:
        data = encode_init_input(invocation.parameters, invocation.lookback, self._version)
        status = self.guest.call(Export.INIT, data, self._version)
        if status == INIT_REFUSED:
            raise ModuleFault(decode_init_error(self.guest.output(), self._version))
        _check_status(Export.INIT, status)

    def _call(self, export: Export, data: bytearray) -> None:
        _check_status(export, self.guest.call(export, data, self._version))


@dataclass(frozen=True, slots=True)
class Chain:
    """Modules through which batches pass, one after another."""

    links: tuple[Link, ...]

    @property
    def memory_bytes(self) -> int:
        """Memory of all its modules."""
        return sum(link.guest.memory_bytes for link in self.links)

    def allow(self, ticks: int) -> None:
        """End what the modules do when that many ticks have passed from now."""
        for link in self.links:
            link.guest.allow(ticks)

    def process(self, value: ModuleInput) -> ModuleOutput:
        """What the chain makes of one batch; a module's own error ends it there.

        Raises
        ------
        ModuleFault
            If a module cannot go on.
        """
        output = ModuleOutput(value.records)
        try:
            for link in self.links:
                step = ModuleInput(value.base_offset, value.timestamp_ms, output.records)
                output = link.process(step)
                if output.failure is not None:
                    break
        except WireError as error:
            raise ModuleFault(f"the module's output cannot be read: {error}") from None
        return output

    def look_back(self, index: int, records: Block) -> None:
        """Let one module see earlier records.

        Raises
        ------
        ModuleFailed
            If it cannot, or refuses one.
        """
        try:
            self.links[index].look_back(records)
        except (ModuleFault, WireError) as error:
            raise look_back_failed(str(error)) from None


def make_chain(
    engine: Engine, compiled: Compiled, sources: Sequence[Source], *, version: int, ticks: int
) -> Chain:
    """Start the modules that a request names.

    Parameters
    ----------
    version : int
        The request's, which is that of the modules' inputs and outputs too.
    ticks : int
        How long each may take to start.

    Raises
    ------
    ModuleFailed
        If a module refuses to start, or wants too much.
    InvalidModule
        If a stored one is none.
    """
    if len(sources) > CHAIN_MODULES_MAX:
        raise cannot_start(
            f"found {len(sources)} SmartModules, expected at most {CHAIN_MODULES_MAX}"
        )
    links = []
    for source in sources:
        wasm = _wasm(source)
        try:
            guest = engine.guest(compiled.get(wasm), ticks)
            links.append(Link(guest, source.invocation, version))
        except (ModuleFault, WireError) as error:
            raise cannot_start(str(error)) from None
    return Chain(tuple(links))


def _wasm(source: Source) -> bytes:
    module = source.invocation.module
    if isinstance(module, StoredModule):
        wasm = wasm_of(bytes(source.payload), module.name)
    else:
        try:
            wasm = decompress(Compression.GZIP, source.payload, limit_bytes=WASM_BYTES_MAX)
        except WireError as error:
            raise invalid(str(error)) from None
    if len(wasm) > WASM_BYTES_MAX:
        raise cannot_start(
            f"found {len(wasm)} bytes of WASM, expected at most {WASM_BYTES_MAX}: "
            "build the SmartModule for release"
        )
    return wasm


def _accumulator(invocation: Invocation) -> bytes:
    kind = invocation.kind
    given = kind.context if isinstance(kind, GenericKind) else kind
    return bytes(given.accumulator) if isinstance(given, AggregateKind) else b""


def _check_status(export: Export, status: int) -> None:
    if status < 0:
        raise ModuleFault(status_text(export, status))
