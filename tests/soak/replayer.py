"""A process of replaying clients: each keeps what it got in a file, and goes on after its death.

``python -m soak.replayer``; each client replays round after round (`soak.replays`) until the file
``stop`` is there. Its rows go to a file at once, so that its next life asks only for the rest.
"""

from __future__ import annotations

import asyncio
import logging
import random
from argparse import ArgumentParser, Namespace
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path

import numpy as np

from qd_client import AlreadyLoggedIn, DataUnavailable, QDClient
from qd_fluvio import service
from qd_schemas.arrays import Rows
from qd_schemas.enums import Resolution
from qd_schemas.errors import QdError
from qd_schemas.specs import ClientKind, FluvioSettings
from soak.actors import pause
from soak.ledger import Ledger, entries_of
from soak.replays import Rowsets, Wanted, dtype_of, first_wrong, load, wanted

DONE = "done"
"""A round's number and how many rows it had, all as they must be."""
WRONG = "wrong"
"""A round's number and the place of its first wrong row."""
LOST = "lost"
"""A round's number and its bytes so far, when its client gave up and another one took its place."""

GIVEN_UP = "gave up and is replaced"

LEASE_MS = 2_000
ROUNDS_OF_A_CLIENT_MAX = 4
AGAIN_SECONDS = 0.3
_log = logging.getLogger("soak.replayer")


def token_of(number: int) -> str | None:
    """The token of every second client that has an id of its own."""
    return f"token {number}" if number % 4 == 1 else None


class Replayer:
    """One client, through all its lives."""

    def __init__(self, given: Namespace, number: int, rowsets: Rowsets) -> None:
        self._given = given
        self._number = number
        self._rowsets = rowsets
        self._ids = {symbol: int(id_) for symbol, id_ in (one.split("=") for one in given.ids)}
        self._ledger_file = given.folder / f"{number:03d}.ledger"
        self._ledger = Ledger(self._ledger_file)
        self._rows_file = given.folder / f"{number:03d}.rows"
        self._chance = random.Random(f"{given.seed} {number} client")
        self._is_open = False

    @property
    def _is_stopping(self) -> bool:
        """Told to stop, and one round at least is over."""
        return self._round > 0 and bool((self._given.folder / "stop").exists())

    async def run(self) -> None:
        """Replay until told to stop; a lost client is replaced by another one."""
        while not self._is_stopping:
            try:
                await self._with_one_client()
            except QdError as error:
                if not (error.retriable or isinstance(error, AlreadyLoggedIn)):
                    raise
                if self._is_open:
                    _log.info("client %d %s: %r", self._number, GIVEN_UP, error)
                    self._ledger.note((LOST, self._round, self._rows_size))
                await pause(AGAIN_SECONDS)

    @property
    def _round(self) -> int:
        """The number of the round that is not over."""
        return sum(entry.word in (DONE, WRONG) for entry in entries_of(self._ledger_file))

    @property
    def _rows_size(self) -> int:
        return self._rows_file.stat().st_size if self._rows_file.exists() else 0

    async def _with_one_client(self) -> None:
        settings = FluvioSettings(self._given.endpoint, ClientKind(self._given.client))
        fixed = self._given.first_id + self._number if self._number % 2 else None
        token = token_of(self._number)
        self._is_open = False  # until then it may be its life before that has the id
        async with QDClient(fixed, endpoint=settings, lease_ms=LEASE_MS, token=token) as client:
            self._is_open = True
            for _ in range(self._chance.randint(1, ROUNDS_OF_A_CLIENT_MAX)):
                if self._is_stopping:
                    return
                await self._replay(client)

    async def _replay(self, client: QDClient) -> None:
        """Do one round, or what is left of it, and judge it."""
        number = self._round
        asked = wanted(self._given.seed, self._number, number, self._rowsets)
        expected, dtype = asked.rows(self._rowsets), dtype_of(asked)
        had = self._rows_size // dtype.itemsize
        with self._rows_file.open("ab") as file:
            file.truncate(had * dtype.itemsize)  # a kill may have cut the last one
            async with aclosing(self._ask(client, asked, had)) as stream:
                try:
                    async for rows in stream:
                        file.write(rows.tobytes())
                        file.flush()
                        await pause(asked.rest_seconds)
                except DataUnavailable:
                    if had < len(expected):  # else it died between its last row and the end
                        raise
        wrong = first_wrong(np.fromfile(self._rows_file, dtype), expected)
        self._rows_file.unlink()
        if wrong is None:
            self._ledger.note((DONE, number, len(expected)))
        else:
            _log.error("client %d, round %d: %s: row %d", self._number, number, asked, wrong)
            self._ledger.note((WRONG, number, wrong))

    def _ask(self, client: QDClient, asked: Wanted, had: int) -> AsyncGenerator[Rows, None]:
        symbol, end, pace = (
            self._ids[asked.symbol],
            asked.end(self._rowsets),
            asked.pace(self._rowsets),
        )
        first = asked.first + had + 1
        if asked.resolution is Resolution.NONE:
            return client.trades(symbol, first_sequence=first, end=end, pace=pace)
        return client.bars(symbol, asked.resolution, first_sequence=first, end=end, pace=pace)


async def replay(given: Namespace) -> None:
    """Run all clients of this process until they are told to stop."""
    rowsets = load(given.folder)
    async with asyncio.TaskGroup() as group:
        for number in given.numbers:
            group.create_task(Replayer(given, number, rowsets).run())


def arguments() -> Namespace:
    parser = ArgumentParser(prog="python -m soak.replayer", description=__doc__)
    for name in ("name", "endpoint", "client"):
        parser.add_argument(f"--{name}", required=True)
    for name in ("seed", "first-id"):
        parser.add_argument(f"--{name}", required=True, type=int)
    parser.add_argument("--numbers", required=True, nargs="+", type=int)
    parser.add_argument("--ids", required=True, nargs="+")
    parser.add_argument("--folder", required=True, type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    given = arguments()
    raise SystemExit(service.run(given.name, lambda: replay(given)))
