"""How much the gateway does at once: every limit, with its unit, in one place."""

from __future__ import annotations

from dataclasses import dataclass

from qd_schemas.specs import LEASE_MS_DEFAULT, LEASE_MS_MAX, LEASE_MS_MIN

SESSIONS_MAX = 1_000
RUNNING_STREAMS_MAX = 64  # in all; the rest wait their turn, clients taking turns
RUNNING_STREAMS_PER_CLIENT_MAX = 16
WAITING_STREAMS_PER_CLIENT_MAX = 64
CONTROL_MESSAGE_BYTES_MAX = 1_024

REPLIES_WAITING_MAX = 1_024  # for one client, before its own replies are dropped
REPLY_TRIES_MAX = 5
STRANGERS_WAITING_MAX = 256  # replies to clients without a session, before more are dropped
STRANGERS_AT_ONCE = 4
OPENING_AT_ONCE = 8  # producers that are being opened
BATCH_ROWS = 65_536  # rows that one stream holds: about 2 MB of trades

CHANNEL_OPEN_SECONDS_MAX = 3.0  # for a client's new topics to be seen
STOP_SECONDS_MAX = 1.5  # for everything, so that the service ends within two seconds
STREAMS_STOP_SECONDS_MAX = 1.0
RECONNECT_SECONDS_MIN = 0.1
RECONNECT_SECONDS_MAX = 5.0
TICK_SECONDS = 0.1
# After a lease ran out: time for the client's successor to log in with the same topics.
ABANDONED_SECONDS = 60.0
IGNORED_LINES_PER_SECOND_MAX = 5  # in the log, for records that are no requests


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of the session and stream machine."""

    sessions: int = SESSIONS_MAX
    running: int = RUNNING_STREAMS_MAX
    running_per_client: int = RUNNING_STREAMS_PER_CLIENT_MAX
    waiting_per_client: int = WAITING_STREAMS_PER_CLIENT_MAX
    message_bytes: int = CONTROL_MESSAGE_BYTES_MAX
    lease_ms: int = LEASE_MS_DEFAULT
    abandoned_s: float = ABANDONED_SECONDS

    def lease_s(self, lease_ms: int) -> float:
        """The lease granted for the one that was asked for; 0 asks for the default."""
        asked = lease_ms or self.lease_ms
        return min(max(asked, LEASE_MS_MIN), LEASE_MS_MAX) / 1_000
