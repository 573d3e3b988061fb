"""Turns of reading: equal shares for clients, whatever they ask for, hold, or give back."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qd_gateway.streams.grants import Grants
from qd_gateway.streams.sizes import (
    PIECE_ROWS_ALONE,
    PIECE_ROWS_MAX,
    PIECE_ROWS_MIN,
    PIECES_AT_ONCE,
)
from qd_gateway.streams.turns import Grant, Turns


@dataclass
class Crowd:
    """Clients whose streams always want more; all that run progress alike, as on one processor."""

    streams: list[list[int]]  # of each client, how many rows each of its streams asks for
    turns: Turns = field(default_factory=Turns)
    running: dict[int, int] = field(default_factory=dict)  # ticket: rows still to be read
    grants: dict[int, Grant] = field(default_factory=dict)
    wants: dict[int, int] = field(default_factory=dict)  # ticket: rows asked for
    served: Counter[int] = field(default_factory=Counter)  # rows of each client
    order: list[int] = field(default_factory=list)  # clients, as they were granted

    def __post_init__(self) -> None:
        self.tickets = itertools.count(1)
        for client, streams in enumerate(self.streams):
            for rows in streams:
                self.ask(client, rows)
        self.let_in()

    def ask(self, client: int, rows: int) -> None:
        ticket = next(self.tickets)
        self.turns.ask(client, ticket, rows)
        self.wants[ticket] = rows

    def let_in(self) -> None:
        for grant in self.turns.grant():
            self.grants[grant.ticket] = grant
            self.running[grant.ticket] = grant.rows
            self.order.append(grant.client)
            assert 1 <= grant.rows <= self.wants[grant.ticket]
        assert len(self.running) == self.turns.running <= PIECES_AT_ONCE

    def step(self) -> None:
        """Until the next piece has been read; its stream asks again at once."""
        rows = min(self.running.values())
        for ticket in self.running:
            self.running[ticket] -= rows
            self.served[self.grants[ticket].client] += rows
        for ticket in [ticket for ticket, left in self.running.items() if not left]:
            del self.running[ticket]
            grant = self.grants.pop(ticket)
            self.turns.done(grant, 0)
            self.ask(grant.client, self.wants.pop(ticket))
            self.let_in()

    def give_up(self, ticket: int) -> None:
        """A stalled stream leaves its piece unread, and asks again."""
        unread = self.running.pop(ticket)
        grant = self.grants.pop(ticket)
        self.turns.done(grant, unread)
        self.ask(grant.client, self.wants.pop(ticket))
        self.let_in()


SIZES = st.integers(PIECE_ROWS_MIN, PIECE_ROWS_ALONE)
CROWDS = st.lists(st.lists(SIZES, min_size=1, max_size=4), min_size=2, max_size=30)


@settings(max_examples=100, deadline=None)
@given(CROWDS)
def test_shares_are_equal_within_a_piece_of_each(streams: list[list[int]]) -> None:
    crowd = Crowd(streams)
    for _ in range(200):
        crowd.step()
        # What the ones read beyond their share, others will be given next.
        shares = [crowd.served[client] for client in range(len(streams))]
        assert max(shares) - min(shares) <= 2 * PIECE_ROWS_MAX


@settings(max_examples=100, deadline=None)
@given(CROWDS, st.integers(1, 200), st.integers(1, PIECE_ROWS_ALONE))
def test_who_comes_new_is_served_soon(streams: list[list[int]], steps: int, rows: int) -> None:
    crowd = Crowd(streams)
    for _ in range(steps):
        crowd.step()
    before, newcomer = len(crowd.order), len(streams)
    crowd.ask(newcomer, rows)
    crowd.let_in()
    while newcomer not in crowd.order:
        crowd.step()
    assert crowd.order.index(newcomer) - before <= len(streams)


@settings(max_examples=50, deadline=None)
@given(CROWDS, st.data())
def test_who_gives_its_pieces_back_costs_nobody(
    streams: list[list[int]], data: st.DataObject
) -> None:
    """The first client stalls in each piece that it gets."""
    crowd = Crowd(streams)
    for _ in range(100):
        stalled = [ticket for ticket, grant in crowd.grants.items() if grant.client == 0]
        for ticket in stalled:
            if data.draw(st.booleans()):
                crowd.give_up(ticket)
        crowd.step()
        shares = [crowd.served[client] for client in range(1, len(streams))]
        assert max(shares) - min(shares) <= 2 * PIECE_ROWS_MAX


@settings(max_examples=50, deadline=None)
@given(CROWDS)
def test_a_piece_that_never_ends_takes_one_place(streams: list[list[int]]) -> None:
    crowd = Crowd([*streams, [PIECE_ROWS_MAX]])
    stuck = len(streams)
    while stuck not in crowd.order:
        crowd.step()
    for ticket, grant in crowd.grants.items():
        if grant.client == stuck:
            crowd.running[ticket] = 2**62
    for _ in range(200):
        crowd.step()
    shares = [crowd.served[client] for client in range(len(streams))]
    assert max(shares) - min(shares) <= 3 * PIECE_ROWS_MAX


def test_a_client_alone_has_all_places_and_a_lone_stream_the_largest_pieces() -> None:
    alone = Crowd([[PIECE_ROWS_ALONE]])
    assert list(alone.running.values()) == [PIECE_ROWS_ALONE]
    many = Crowd([[PIECE_ROWS_ALONE] * 20])
    assert len(many.running) == PIECES_AT_ONCE
    assert len(Crowd([[1_000] * 20, [1_000] * 20]).running) == 2


def test_many_streams_have_small_pieces() -> None:
    crowd = Crowd([[PIECE_ROWS_ALONE] for _ in range(500)])
    assert set(crowd.running.values()) == {PIECE_ROWS_MIN}


def test_nothing_is_remembered_of_clients_that_are_gone() -> None:
    turns = Turns()
    for ticket in range(100):
        turns.ask(ticket, ticket, 1_000)
        for grant in turns.grant():
            turns.done(grant, 0)
    assert not turns._clients


async def test_a_waiting_stream_that_is_cancelled_leaves_its_place_to_the_next() -> None:
    grants = Grants(Turns(places=1))
    held = await grants.take(1, 100)
    waiting = [asyncio.create_task(grants.take(client, 100)) for client in (2, 3, 4)]
    await asyncio.sleep(0)
    waiting[0].cancel()  # before its turn
    await asyncio.sleep(0)
    grants.give_back(held, 0)
    waiting[1].cancel()  # after its turn has come, before it notices
    third = await waiting[2]
    assert third.client == 4
    grants.give_back(third, 0)
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert [isinstance(result, asyncio.CancelledError) for result in results] == [True, True, False]


@pytest.mark.parametrize("count", [50])
async def test_a_turn_given_to_one_who_is_just_leaving_goes_on(count: int) -> None:
    """Cancelled and granted within one round of the loop, in both orders."""
    turns = Turns(places=1)
    grants = Grants(turns)
    held = await grants.take(0, 100)
    waiting = [asyncio.create_task(grants.take(client, 100)) for client in range(1, count)]
    await asyncio.sleep(0)
    for task in waiting[:-1]:
        task.cancel()
    grants.give_back(held, 0)
    grants.give_back(await waiting[-1], 0)
    await asyncio.gather(*waiting, return_exceptions=True)
    assert (turns.running, turns.waiting) == (0, 0)
