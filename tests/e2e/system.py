"""A whole system for a test: five processes over real TCP, as users run them."""

from __future__ import annotations

import asyncio
import os
import signal
from dataclasses import dataclass
from pathlib import Path

from qd_cli.stack.parts import DATABASE, FLUVIO, SYMDB, Choices
from qd_cli.stack.supervisor import Supervisor
from qd_client import QDClient, until_evaluated
from qd_client.local import StackRecord, is_alive
from qd_client.symdb import SymdbClient
from qd_fluvio import connect
from qd_schemas.codec import decode
from qd_schemas.enums import ExchangeId
from qd_schemas.messages import BreakoutAlert
from qd_schemas.topics import ALERTS
from qd_store.imports import ImportReport, import_paths

WAIT_SECONDS_MAX = 90.0


@dataclass
class System:
    """A running stack and what a test does with it."""

    folder: Path
    stack: Supervisor
    choices: Choices
    record: StackRecord

    @property
    def endpoint(self) -> str:
        return self.record.settings[FLUVIO]

    @property
    def external_fluvio(self) -> bool:
        return FLUVIO in os.environ

    def client(self, lease_ms: int = 60_000, patience_s: float = 0.0) -> QDClient:
        """A client that raises at once what interrupts it, unless it is given patience."""
        return QDClient(
            endpoint=self.endpoint,
            symdb=self.record.settings[SYMDB],
            lease_ms=lease_ms,
            patience_s=patience_s,
        )

    async def import_(self, *paths: Path) -> ImportReport:
        return await asyncio.to_thread(
            import_paths,
            self.record.settings[DATABASE],
            list(paths),
            rejects_folder=self.folder / "rejects",
        )

    def kill(self, part: str) -> None:
        """Kill -9, as a crash does."""
        os.kill(self.record.parts[part].pid, signal.SIGKILL)

    def alive(self) -> set[str]:
        external = {"broker": FLUVIO, "database": DATABASE}
        elsewhere = {name for name, setting in external.items() if setting in os.environ}
        parts = self.record.parts.items()
        return elsewhere | {name for name, part in parts if is_alive(part.identity)}

    async def up(self) -> None:
        """Start again what has died, as ``qd up`` does."""
        self.record = await self.stack.up(self.choices)

    async def published(self) -> list[BreakoutAlert]:
        """Every record of the alerts topic, repeats included."""
        async with connect(self.endpoint) as fluvio:
            end = await fluvio.end_offset(ALERTS)
            consumer = await fluvio.consumer(ALERTS)
            messages = [decode(record.value) async for record in consumer.read_until(end)]
            await consumer.aclose()
        assert all(isinstance(message, BreakoutAlert) for message in messages)
        return [message for message in messages if isinstance(message, BreakoutAlert)]

    async def alerts_of(self, symbol: str, trades: int) -> list[tuple[int, int, float]]:
        """A market's published (sequence, microseconds, price) once all are, repeats included."""
        host, port = self.record.settings[SYMDB].rsplit(":", 1)
        async with SymdbClient(host, int(port)) as symdb:
            market = await symdb.id_by_symbol(ExchangeId.KRAKEN, symbol)
        async with asyncio.timeout(WAIT_SECONDS_MAX), connect(self.endpoint) as fluvio:
            await until_evaluated(fluvio, market.symbol_id, trades)
        return [
            (alert.sequence, alert.date_time, alert.price)
            for alert in await self.published()
            if alert.symbol_id == market.symbol_id
        ]
