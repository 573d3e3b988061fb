"""Chains of SmartModules on a few threads, with bounds for all of them together.

The event loop never waits for a module: work goes to a small pool, each piece with a
deadline that a timer of the loop keeps. Chains are counted, and so is their memory.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, Any, TypeVar

from qd_fluvio.broker.smartmodules.chain import Chain, Compiled, Source, make_chain
from qd_fluvio.broker.smartmodules.errors import cannot_start, too_much_memory
from qd_fluvio.broker.smartmodules.limits import (
    CHAINS_MAX,
    THREADS,
    TICK_S,
    TOTAL_BYTES_MAX,
    WORK_S_MAX,
)
from qd_fluvio.wire.smartmodules import AdHocModule, Invocation, Lookback

if TYPE_CHECKING:
    from qd_fluvio.broker.smartmodules.engine import Engine

T = TypeVar("T")
WORK_TICKS = round(WORK_S_MAX / TICK_S) + 1
_log = logging.getLogger("broker.smartmodules")


class ModuleRunner:
    """Where a broker's SmartModules run.

    Parameters
    ----------
    find : callable
        Gives a stored module's payload by its name, or raises `ModuleNotFound`.
    """

    def __init__(self, find: Callable[[str], bytes]) -> None:
        self._find = find
        self._tools = _Tools()
        self._pool: ThreadPoolExecutor | None = None
        self._chains = 0
        self._bytes = 0
        self._running: dict[asyncio.Future[Any], concurrent.futures.Future[Any]] = {}
        self._clock: asyncio.TimerHandle | None = None

    async def open(self, invocations: Sequence[Invocation], version: int) -> RunningChain:
        """Start the modules that a request of that version names.

        Raises
        ------
        ModuleFailed
            If one cannot be started, or too many run.
        ModuleNotFound, InvalidModule
            If a stored one is not there, or is none.
        """
        sources = tuple(self._source(item) for item in invocations)
        chain = RunningChain(self)
        try:
            await chain.start(sources, version)
        except BaseException:
            chain.close()
            raise
        return chain

    def close(self) -> None:
        """End all work; chains are of no use afterwards."""
        if self._clock is not None:
            self._clock.cancel()
        if self._pool is None:
            return
        self._pool.shutdown(wait=False, cancel_futures=True)
        # A piece of work that has only begun sets its deadline after the first ticks.
        while left := [work for work in self._running.values() if not work.done()]:
            for _ in range(WORK_TICKS):
                self._tools.tick()
            wait(left, timeout=TICK_S)

    def make(self, sources: Sequence[Source], version: int) -> Chain:
        """Start modules; for a thread of the pool."""
        return self._tools.make(sources, version)

    def submit(self, work: Callable[[], T]) -> asyncio.Future[T]:
        """Have a thread do a piece of work while the clock runs."""
        if self._pool is None:
            self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="smartmodules")
        running = self._pool.submit(work)
        future = asyncio.wrap_future(running)
        self._running[future] = running
        future.add_done_callback(self._finished)
        if self._clock is None:
            self._wind()
        return future

    def drop(self, future: asyncio.Future[Any]) -> None:
        """Nobody waits for that work any more: leave it out, unless a thread is at it."""
        if future in self._running:
            self._running[future].cancel()

    def admit(self) -> None:
        """Count a new chain.

        Raises
        ------
        ModuleFailed
            If there are too many.
        """
        if self._chains >= CHAINS_MAX:
            raise cannot_start(
                f"found {CHAINS_MAX} streams with SmartModules already: end some first"
            )
        self._chains += 1

    def leave(self) -> None:
        """A chain has ended."""
        self._chains -= 1

    def account(self, held: int, wanted: int) -> None:
        """A chain that held so many bytes now holds `wanted`.

        Raises
        ------
        ModuleFailed
            If that is too much for all of them together.
        """
        self._bytes += wanted - held
        if wanted > held and self._bytes > TOTAL_BYTES_MAX:
            _log.warning("ending a chain of SmartModules: all of them take %d bytes", self._bytes)
            self._bytes -= wanted - held
            raise too_much_memory(wanted, max(TOTAL_BYTES_MAX - self._bytes, 0))

    def _source(self, invocation: Invocation) -> Source:
        module = invocation.module
        if isinstance(module, AdHocModule):
            return Source(invocation, module.wasm)
        return Source(invocation, self._find(module.name))

    def _wind(self) -> None:
        self._clock = asyncio.get_running_loop().call_later(TICK_S, self._ring)

    def _ring(self) -> None:
        self._clock = None
        self._tools.tick()
        if self._running:
            self._wind()

    def _finished(self, future: asyncio.Future[Any]) -> None:
        del self._running[future]
        if not future.cancelled():
            future.exception()  # whoever waited may be gone; then nobody else asks


class _Tools:
    """The engine, made in the first thread that needs it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._made: tuple[Engine, Compiled] | None = None

    def make(self, sources: Sequence[Source], version: int) -> Chain:
        engine, compiled = self._get()
        return make_chain(engine, compiled, sources, version=version, ticks=WORK_TICKS)

    def tick(self) -> None:
        if self._made is not None:
            self._made[0].tick()

    def _get(self) -> tuple[Engine, Compiled]:
        with self._lock:
            if self._made is None:
                from qd_fluvio.broker.smartmodules.engine import Engine  # slow to load

                engine = Engine()
                self._made = engine, Compiled(engine)
            return self._made


class RunningChain:
    """One chain, used by one task; its work is done by the runner's threads."""

    def __init__(self, runner: ModuleRunner) -> None:
        self._runner = runner
        self._chain: Chain | None = None
        self._current: asyncio.Future[Any] | None = None
        self._held = 0
        runner.admit()

    async def start(self, sources: Sequence[Source], version: int) -> None:
        """Start the modules.

        Raises
        ------
        ModuleFailed, InvalidModule
            If one cannot be started.
        """
        self._account(sum(len(source.payload) for source in sources))
        self._chain = await self._do(lambda: self._runner.make(sources, version))
        self._account(self._chain.memory_bytes)

    @property
    def lookbacks(self) -> tuple[Lookback | None, ...]:
        """Which earlier records each module wants to see."""
        return tuple(link.lookback for link in self._started.links)

    async def run(self, work: Callable[[Chain], T]) -> T:
        """Do a piece of work with the chain in a thread.

        Raises
        ------
        ModuleFailed
            If the modules now take too much memory, beside what `work` raises.
        """
        chain = self._started

        def timed() -> T:
            chain.allow(WORK_TICKS)
            return work(chain)

        result = await self._do(timed)
        self._account(chain.memory_bytes)
        return result

    def hold(self, size: int) -> None:
        """Count what is kept of the modules' output until the next piece of work.

        Raises
        ------
        ModuleFailed
            If that is too much for all of them together.
        """
        self._account(self._started.memory_bytes + size)

    def close(self) -> None:
        """Let go of the modules, once no thread uses them."""
        if self._current is not None and not self._current.done():
            self._current.add_done_callback(lambda _: self._free())
        else:
            self._free()

    @property
    def _started(self) -> Chain:
        if self._chain is None:
            raise cannot_start("the SmartModules have ended")
        return self._chain

    async def _do(self, work: Callable[[], T]) -> T:
        future = self._runner.submit(work)
        self._current = future
        try:
            # A caller that is cancelled must not take the modules from the thread.
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            self._runner.drop(future)
            raise

    def _account(self, wanted: int) -> None:
        self._runner.account(self._held, wanted)
        self._held = wanted

    def _free(self) -> None:
        self._chain = None
        self._runner.account(self._held, 0)
        self._held = 0
        self._runner.leave()
