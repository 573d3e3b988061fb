"""Waiting for a turn to read: what `turns` decides, handed out to the streams that ask."""

from __future__ import annotations

import asyncio
import itertools

from qd_gateway.streams.turns import Grant, Turns


class Grants:
    """Hands out turns.

    Parameters
    ----------
    turns : Turns
        Decides whose turn it is.
    """

    def __init__(self, turns: Turns) -> None:
        self._turns = turns
        self._tickets = itertools.count(1)
        self._asking: dict[int, asyncio.Future[Grant]] = {}

    async def take(self, client: int, rows: int) -> Grant:
        """Wait for the client's turn; whoever has it must give it back."""
        ticket = next(self._tickets)
        granted: asyncio.Future[Grant] = asyncio.get_running_loop().create_future()
        self._asking[ticket] = granted
        self._turns.ask(client, ticket, rows)
        self._hand_out()
        try:
            return await granted
        except asyncio.CancelledError:
            if not granted.cancelled():
                self.give_back(granted.result(), granted.result().rows)
            elif self._asking.pop(ticket, None) is not None:
                self._turns.leave(client, ticket)
                self._hand_out()  # another client may be alone now
            raise

    def give_back(self, grant: Grant, unused_rows: int) -> None:
        """A piece was read, or is not wanted any more."""
        self._turns.done(grant, unused_rows)
        self._hand_out()

    def _hand_out(self) -> None:
        while granted := self._turns.grant():
            for grant in granted:
                asking = self._asking.pop(grant.ticket)
                if asking.cancelled():  # a moment ago; its stream has not noticed
                    self._turns.done(grant, grant.rows)
                else:
                    asking.set_result(grant)
