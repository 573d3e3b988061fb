"""The reference's messages as bytes, packed by hand from the table of its protocol.

Shares no code with the project, so that agreement proves something.
"""

from __future__ import annotations

import struct
from typing import Final

SCHEMA_ID: Final = 1
VERSION: Final = 1

TABLE: Final[dict[str, tuple[int, str, int]]] = {
    "ClientLogin": (101, "H", 12),
    "ClientLogout": (102, "H", 12),
    "StartData": (201, "HBHBB", 17),
    "StopData": (202, "HBHB", 16),
    "StopAllData": (203, "HB", 13),
    "OHLCVBar": (204, "Hqfffff", 40),
    "FirstOHLCVBar": (205, "H", 12),
    "LastOHLCVBar": (206, "H", 12),
    "TradeBar": (207, "Hqff", 28),
    "FirstTradeBar": (208, "H", 12),
    "LastTradeBar": (209, "H", 12),
    "ClientError": (801, "HB", 13),
    "DataError": (802, "HB", 13),
}
"""Template id, the fields after messageType, and the length with the header."""

KRAKEN: Final = 1
TRADES, BARS = 1, 2
NO_RESOLUTION, FIVE_MINUTES = 0, 2
ALREADY_LOGGED_IN, NOT_LOGGED_IN = 1, 3
DATA_TYPE_UNKNOWN, DATA_UNAVAILABLE, TABLE_NOT_FOUND = 1, 2, 4


def wire(name: str, *values: float) -> bytes:
    """One message with its header, little endian."""
    template, codes, length = TABLE[name]
    body = struct.pack("<H" + codes, template, *values)
    message = struct.pack("<4H", len(body), template, SCHEMA_ID, VERSION) + body
    assert len(message) == length
    return message
