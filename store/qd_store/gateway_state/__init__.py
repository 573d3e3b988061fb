"""What gateways share through the database: clients' slots, sessions, tokens, operators' orders.

::

    operators   look at sessions and gateways, end sessions and streams, keep tokens; synchronous
    member      one gateway's part: join, renew and save, take slots, load sessions; asyncio

A session's state is the gateway's own JSON text; nothing here knows what it means.
"""

from qd_store.gateway_state.member import (
    Answer,
    GatewayState,
    Loaded,
    Member,
    Order,
    Saving,
)
from qd_store.gateway_state.operators import (
    Gateway,
    Session,
    Token,
    add_token,
    end_session,
    end_stream,
    gateways,
    remove_token,
    sessions,
    tokens,
)
from qd_store.gateway_state.slots import SLOTS, slot_of

__all__ = [
    "SLOTS",
    "Answer",
    "Gateway",
    "GatewayState",
    "Loaded",
    "Member",
    "Order",
    "Saving",
    "Session",
    "Token",
    "add_token",
    "end_session",
    "end_stream",
    "gateways",
    "remove_token",
    "sessions",
    "slot_of",
    "tokens",
]
