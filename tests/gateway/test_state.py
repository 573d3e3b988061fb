"""The keeper of the state, with a database: no order of an operator is lost, whatever happens."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence

from qd_gateway.core.saved import SavedSession
from qd_gateway.ownership import ALL, Ownership, Step
from qd_gateway.state import StateKeeper, member_of
from qd_store.connections import connect
from qd_store.gateway_state import Loaded, Order
from support.markets import Markets

END_SECONDS_MAX = 25
CLIENT = 21
ORDER = "INSERT INTO gateway_order (gateway_group, client_id) VALUES (%s, %s)"
LEFT = "SELECT count(*) FROM gateway_order WHERE gateway_group = %s"


class Served:
    """A shell that serves what it is given, or nothing, and notes the orders."""

    def __init__(self, ownership: Ownership, *, serves: bool) -> None:
        self._ownership = ownership
        self._serves = serves
        self.has_restored = asyncio.Event()
        self.ordered = asyncio.Event()

    def carry_out(self, steps: Iterable[Step]) -> None:
        raise AssertionError(f"nobody else takes anything: {steps}")

    async def restore(self, loaded: Loaded, slots: frozenset[int]) -> None:
        assert slots == ALL
        if self._serves:
            self._ownership.on_loaded(slots)
        self.has_restored.set()

    def changes(self) -> Sequence[SavedSession | int]:
        return []

    def unsaved(self, changes: Iterable[SavedSession | int]) -> None:
        pass

    def handled(self) -> Mapping[int, int]:
        return {}

    def set_keys(self, keys: Mapping[int, bytes]) -> None:
        pass

    def on_order(self, order: Order) -> None:
        assert order.client_id == CLIENT
        self.ordered.set()

    def on_database(self, trouble: str) -> None:
        pass

    def on_settled(self) -> None:
        pass


@contextlib.asynccontextmanager
async def keeping(dsn: str, group: str, *, serves: bool = True) -> AsyncIterator[Served]:
    """A keeper that has all slots of its group; it leaves when the block ends."""
    member = member_of(group, "a")
    ownership = Ownership(member.name)
    shell = Served(ownership, serves=serves)
    keeper = StateKeeper(dsn, member, ownership, shell)
    async with asyncio.timeout(END_SECONDS_MAX), asyncio.TaskGroup() as tasks:
        tasks.create_task(keeper.run())
        await shell.has_restored.wait()
        yield shell
        keeper.leave()


async def test_an_order_given_while_the_connection_is_lost_is_carried_out(markets: Markets) -> None:
    group = uuid.uuid4().hex
    lose = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid() "
        "AND (query LIKE %s OR query LIKE %s)"
    )
    async with keeping(markets.dsn, group) as shell:
        with connect(markets.dsn) as connection, connection.transaction():
            connection.execute(lose, ["%gateway_slot%", "%gateway_order%"])
            connection.execute(ORDER, [group, CLIENT])
        await shell.ordered.wait()


async def test_an_order_for_a_client_that_is_not_served_is_left_to_who_serves_it_next(
    markets: Markets,
) -> None:
    group = uuid.uuid4().hex
    with connect(markets.dsn) as connection:
        connection.execute(ORDER, [group, CLIENT])
        async with keeping(markets.dsn, group, serves=False) as shell:
            pass
        assert not shell.ordered.is_set()
        assert connection.execute(LEFT, [group]).fetchone() == (1,)
        async with keeping(markets.dsn, group) as shell:
            await shell.ordered.wait()
        assert connection.execute(LEFT, [group]).fetchone() == (0,)
