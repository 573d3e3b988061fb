"""How clients are divided among gateways: by their ids, as the tables divide them too."""

from __future__ import annotations

from typing import Final

SLOTS: Final = 64
"""Parts into which clients are divided; each is one gateway's at a time."""


def slot_of(client_id: int) -> int:
    """The slot of a client."""
    return client_id % SLOTS
