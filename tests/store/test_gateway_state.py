"""What gateways share: leases and fences by the database's rows, sessions, tokens, orders."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager

import psycopg
import pytest
from psycopg import errors

from qd_schemas.identity import key_of
from qd_store.administration.roles import Purpose
from qd_store.connections import connect
from qd_store.errors import (
    DatabaseUnreachable,
    QueryFailed,
    QueryTimedOut,
    SchemaMismatch,
    StoreError,
)
from qd_store.gateway_state import (
    SLOTS,
    GatewayState,
    Member,
    Order,
    Saving,
    add_token,
    end_session,
    end_stream,
    gateways,
    remove_token,
    sessions,
    slot_of,
    tokens,
)
from qd_store.migrate import migrate
from support.roles import roles_of

GROUP = "127.0.0.1:9003"
ALL = frozenset(range(SLOTS))
Joining = Callable[..., AbstractAsyncContextManager[GatewayState]]


def member(name: str, incarnation: int = 0, group: str = GROUP, lease_s: float = 60.0) -> Member:
    return Member(group, name, incarnation or int.from_bytes(name.encode()), lease_s)


@pytest.fixture
def tables(dsn: str) -> str:
    """A DSN whose database has the tables."""
    with connect(dsn) as connection:
        migrate(connection)
    return dsn


@pytest.fixture
def joining(tables: str) -> Joining:
    def join(of: Member, *, first: bool = True) -> AbstractAsyncContextManager[GatewayState]:
        return GatewayState.open(tables, of, first=first)

    return join


def run_out(dsn: str, name: str) -> None:
    """Let a gateway's leases be over."""
    with connect(dsn) as connection:
        for table, column in (("gateway_member", "name"), ("gateway_slot", "holder")):
            connection.execute(
                f"UPDATE {table} SET lease_until = now() WHERE {column} = %s".encode(), [name]
            )


def state_of(client_id: int, word: str = "here") -> str:
    return json.dumps({"client_id": client_id, "word": word})


async def test_slots_go_to_whoever_takes_first_and_only_to_one(joining: Joining) -> None:
    async with joining(member("a")) as a, joining(member("b")) as b:
        answer = await a.renew(Saving())
        assert (answer.is_member, answer.held, answer.free) == (True, frozenset(), SLOTS)
        assert answer.members == ("a", "b")
        assert answer.next_free_s is None
        taken, rest = await asyncio.gather(a.take(40), b.take(40))
        assert len(taken | rest) == SLOTS
        assert not taken & rest
        assert (await a.renew(Saving())).held == taken
        answer = await b.renew(Saving())
        assert (answer.held, answer.free) == (rest, 0)
        assert answer.next_free_s is not None
        assert 30 < answer.next_free_s <= 60
        assert await a.take(5) == frozenset()


async def test_no_more_slots_are_taken_than_asked_for_by_any_plan(tables: str) -> None:
    # A choice that is joined row by row is made anew for each row, then of other rows.
    nested = "-c enable_hashjoin=off -c enable_mergejoin=off -c enable_material=off"
    own = psycopg.conninfo.conninfo_to_dict(tables).get("options", "")
    dsn = psycopg.conninfo.make_conninfo(tables, options=f"{own} {nested}")
    async with GatewayState.open(dsn, member("a"), first=True) as a:
        assert len(await a.take(40)) == 40
        assert (await a.renew(Saving())).free == SLOTS - 40


async def test_groups_know_nothing_of_each_other(joining: Joining, tables: str) -> None:
    async with joining(member("a")) as a, joining(member("a", 5, "other:1")) as b:
        assert await a.take(SLOTS) == await b.take(SLOTS) == ALL
        await a.renew(Saving(sessions={21: state_of(21)}))
        assert (await b.load(ALL)).sessions == ()
        assert (await b.renew(Saving(ended=[21]))).members == ("a",)
        assert [found.group for found in sessions(tables)] == [GROUP]
        assert sessions(tables, "other:1") == []


async def test_what_is_saved_is_loaded_by_the_next_holder(joining: Joining, tables: str) -> None:
    async with joining(member("a")) as a, joining(member("b")) as b:
        await a.take(SLOTS)
        states = {client: state_of(client) for client in (21, 22, 21 + SLOTS, 65_534)}
        await a.renew(Saving(dict.fromkeys(ALL, 7), states))
        await a.renew(Saving({slot_of(21): 9}, {22: state_of(22, "changed")}, ended=[65_534]))
        mine = frozenset({slot_of(21), slot_of(22)})
        answer = await a.renew(Saving(released=mine))
        assert answer.held == ALL - mine
        assert (await b.renew(Saving())).free == 2
        assert await b.take(64) == mine
        loaded = await b.load(mine)
        assert {slot: offset for slot, (offset, _) in loaded.offsets.items()} == {
            slot_of(21): 9,
            slot_of(22): 7,
        }
        assert all(0 <= age < 60 for _, age in loaded.offsets.values())
        assert [json.loads(state) for state in loaded.sessions] == [
            json.loads(state_of(21)),
            json.loads(state_of(22, "changed")),
            json.loads(state_of(21 + SLOTS)),
        ]
        assert (await a.load(mine)).sessions == ()  # they are not its own any more


async def test_an_expired_lease_is_anyones_and_its_holder_can_save_nothing(
    joining: Joining, tables: str
) -> None:
    async with joining(member("a")) as a, joining(member("b")) as b:
        await a.take(SLOTS)
        await a.renew(Saving({1: 5}, {65: state_of(65)}))
        run_out(tables, "a")
        assert (await b.renew(Saving())).members == ("b",)
        assert await b.take(SLOTS) == ALL
        late = Saving({1: 99}, {65: state_of(65, "late"), 66: state_of(66)}, ended=[65])
        answer = await a.renew(late)
        assert (answer.is_member, answer.held) == (True, frozenset())
        loaded = await b.load(ALL)
        assert loaded.offsets[1][0] == 5
        assert [json.loads(state)["word"] for state in loaded.sessions] == ["here"]


async def test_an_expired_lease_that_nobody_took_is_renewed(joining: Joining, tables: str) -> None:
    async with joining(member("a")) as a:
        await a.take(SLOTS)
        run_out(tables, "a")
        assert (await a.renew(Saving())).held == ALL


async def test_a_new_process_of_a_name_takes_over_at_once(joining: Joining) -> None:
    async with joining(member("a", 1)) as old:
        await old.take(SLOTS)
        async with joining(member("a", 2)) as new:
            assert await new.take(SLOTS) == ALL
            answer = await old.renew(Saving({1: 99}, {65: state_of(65)}))
            assert not answer.is_member
            assert not answer.held
            assert await old.take(SLOTS) == frozenset()
            assert (await new.load(ALL)).sessions == ()
            async with joining(member("a", 1), first=False) as again:
                assert not (await again.renew(Saving())).is_member
            assert (await new.renew(Saving())).is_member


async def test_a_member_that_left_is_gone_with_its_slots(joining: Joining, tables: str) -> None:
    async with joining(member("a")) as a, joining(member("b")) as b:
        await a.take(SLOTS)
        await b.told()
        await a.renew(Saving(dict.fromkeys(ALL, 3), released=ALL, leaving=True))
        assert await b.told() == {"gateway_slot"}
        answer = await b.renew(Saving())
        assert (answer.members, answer.free) == (("b",), SLOTS)
        assert [found.name for found in gateways(tables)] == ["b"]


async def test_what_never_was_saved_has_no_offset(joining: Joining) -> None:
    async with joining(member("a")) as a:
        await a.take(2)
        assert (await a.load(ALL)).offsets == {}


async def test_tokens_are_told_and_only_their_keys_are_kept(joining: Joining, tables: str) -> None:
    async with joining(member("a")) as a:
        assert await a.keys() == {}
        add_token(tables, 21, key_of("secret"), "Ann")
        add_token(tables, 22, key_of("other"), "Bob")
        assert "gateway_token" in await a.told()
        assert await a.keys() == {21: key_of("secret"), 22: key_of("other")}
        add_token(tables, 21, key_of("newer"), "Ann again")
        assert remove_token(tables, 22)
        assert not remove_token(tables, 22)
        assert "gateway_token" in await a.told()
        assert await a.keys() == {21: key_of("newer")}
        assert [(token.client_id, token.name) for token in tokens(tables)] == [(21, "Ann again")]
        assert await a.told() == frozenset()


@pytest.mark.parametrize(("client_id", "key"), [(20, bytes(32)), (65_535, bytes(32)), (21, b"x")])
def test_what_is_no_token(tables: str, client_id: int, key: bytes) -> None:
    with pytest.raises(QueryFailed):
        add_token(tables, client_id, key, "x")


async def test_orders_stay_until_they_are_done(joining: Joining, tables: str) -> None:
    async with joining(member("a")) as a, joining(member("b")) as b:
        await a.take(SLOTS)
        await a.renew(Saving(sessions={21: state_of(21), 22: state_of(22)}))
        assert not end_session(tables, 23)
        assert not end_session(tables, 21, "other:1")
        assert end_session(tables, 21)
        assert end_stream(tables, 22, 5, GROUP)
        assert await a.told() >= {"gateway_order"}
        first, second = await a.orders()
        assert (first, second) == (Order(first.number, 21, None), Order(second.number, 22, 5))
        assert await b.orders() == []  # they are of another's slots
        await a.renew(Saving(done=[first.number]))
        assert await a.orders() == [second]


async def test_operators_see_who_is_where(joining: Joining, tables: str) -> None:
    async with joining(member("a")) as a, joining(member("b")):
        await a.take(SLOTS)
        await a.renew(Saving(sessions={21: state_of(21), 85: state_of(85)}))
        found = sessions(tables, GROUP)
        assert [(each.client_id, each.slot, each.gateway) for each in found] == [
            (21, 21, "a"),
            (85, 21, "a"),
        ]
        assert json.loads(found[0].state) == {"client_id": 21, "word": "here"}
        assert "word" not in repr(found[0])
        assert [(each.name, each.is_alive, len(each.slots)) for each in gateways(tables)] == [
            ("a", True, SLOTS),
            ("b", True, 0),
        ]
        run_out(tables, "a")
        assert [each.gateway for each in sessions(tables)] == [None, None]
        assert [each.is_alive for each in gateways(tables)] == [False, True]


async def test_groups_that_ended_long_ago_are_forgotten(joining: Joining, tables: str) -> None:
    for group in ("old:1", "new:1"):
        async with joining(member("x", 1, group)) as ended:
            await ended.take(SLOTS)
            await ended.renew(Saving(dict.fromkeys(ALL, 1), {21: state_of(21)}))
            await ended.renew(Saving(released=ALL, leaving=True))
    with connect(tables) as connection:
        connection.execute(
            "UPDATE gateway_slot SET saved_at = now() - interval '8 days' "
            "WHERE gateway_group = 'old:1'"
        )
    async with joining(member("a")):
        assert [found.group for found in sessions(tables)] == ["new:1"]


async def test_waiting_ends_when_something_is_told(joining: Joining, tables: str) -> None:
    async with joining(member("a")) as a:
        await a.told()
        awake = asyncio.Event()
        waiting = asyncio.create_task(a.wait(awake, 60))
        await asyncio.to_thread(add_token, tables, 21, key_of("x"), "x")
        await waiting
        assert "gateway_token" in await a.told()


async def test_tables_that_are_not_there_are_said(dsn: str) -> None:
    with pytest.raises(SchemaMismatch, match="qd db migrate"):
        async with GatewayState.open(dsn, member("a"), first=True):
            pass


@pytest.mark.parametrize("dsn", ["postgresql://127.0.0.1:1/qd", "postgresql://[", "x y"])
async def test_a_database_that_is_not_there(dsn: str) -> None:
    with pytest.raises(DatabaseUnreachable):
        async with GatewayState.open(dsn, member("a"), first=True):
            pass


def backend_of(dsn: str, name: str) -> int:
    with psycopg.connect(dsn) as connection:
        row = connection.execute(
            "SELECT pid FROM pg_stat_activity WHERE query ~ %s AND pid <> pg_backend_pid()",
            [re.escape(name)],
        ).fetchone()
    assert row is not None
    return int(row[0])


@contextlib.contextmanager
def stopped(pid: int) -> Iterator[None]:
    """A process that stands still while the block runs."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@pytest.mark.skipif("QD_DATABASE" in os.environ, reason="the server is of another machine")
async def test_a_server_that_falls_silent_is_given_up(joining: Joining, tables: str) -> None:
    async with joining(member("a", lease_s=6.0)) as state:
        await state.told()
        backend = await asyncio.to_thread(backend_of, tables, "SELECT 1")
        silent = pytest.raises(QueryTimedOut, match=r"did not answer within 3 s")
        with stopped(backend), silent:
            await state.renew(Saving())


async def test_cancelling_does_not_wait_for_the_server(joining: Joining, tables: str) -> None:
    async with joining(member("a")) as a:
        with connect(tables) as connection, connection.transaction():
            connection.execute("LOCK TABLE gateway_slot")
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await a.renew(Saving())
        with pytest.raises(StoreError):
            await a.told()  # of no more use


@pytest.fixture(scope="module")
def as_gateway(database_dsn: str) -> Iterator[tuple[str, str]]:
    """The DSNs of a database as its owner and as its gateway."""
    with roles_of(database_dsn) as roles:
        yield roles.dsn(Purpose.OWNER), roles.dsn(Purpose.GATEWAY)


async def test_the_gateways_role_does_all_of_this(as_gateway: tuple[str, str]) -> None:
    owner, own = as_gateway
    async with GatewayState.open(own, member("a"), first=True) as state:
        assert await state.take(SLOTS) == ALL
        await state.renew(Saving({1: 1}, {21: state_of(21), 22: state_of(22)}))
        add_token(owner, 21, key_of("x"), "x")
        assert end_session(owner, 21)
        assert await state.told() >= {"gateway_token", "gateway_order"}
        assert list(await state.keys()) == [21]
        (order,) = await state.orders()
        await state.renew(Saving(ended=[21], done=[order.number]))
        assert [found.client_id for found in sessions(own)] == [22]
        await state.renew(Saving(released=ALL, leaving=True))


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO gateway_token VALUES (21, decode(repeat('00', 32), 'hex'), 'x')",
        "DELETE FROM gateway_token",
        "UPDATE gateway_token SET key = key",
        "INSERT INTO gateway_order (gateway_group, client_id) VALUES ('x', 21)",
        "UPDATE gateway_order SET ticket = 1",
        "TRUNCATE gateway_session",
        "DROP TABLE gateway_slot CASCADE",
    ],
)
def test_the_gateways_role_does_no_more(as_gateway: tuple[str, str], statement: str) -> None:
    with psycopg.connect(as_gateway[1], autocommit=True) as connection:
        connection.execute("SET default_transaction_read_only = off")
        with pytest.raises(errors.InsufficientPrivilege):
            connection.execute(statement.encode())


@pytest.mark.parametrize("purpose", [Purpose.IMPORTER, Purpose.SYMDB])
def test_nobody_else_sees_keys_and_sessions(database_dsn: str, purpose: Purpose) -> None:
    with roles_of(database_dsn) as roles, psycopg.connect(roles.dsn(purpose)) as connection:
        connection.autocommit = True
        for table in ("member", "slot", "session", "token", "order"):
            with pytest.raises(errors.InsufficientPrivilege):
                connection.execute(f"SELECT FROM gateway_{table}".encode())
