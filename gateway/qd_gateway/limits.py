"""How much the gateway does at once: every limit, with its unit, in one place."""

from __future__ import annotations

from dataclasses import dataclass

from qd_schemas.specs import LEASE_MS_DEFAULT, LEASE_MS_MAX, LEASE_MS_MIN

SESSIONS_MAX = 1_000
RUNNING_STREAMS_MAX = 64  # in all; the rest wait their turn, clients taking turns
RUNNING_STREAMS_PER_CLIENT_MAX = 16
WAITING_STREAMS_MAX = 1_000  # in all
WAITING_STREAMS_PER_CLIENT_MAX = 64
CONTROL_MESSAGE_BYTES_MAX = 1_024
# Of one client; twice as many may come at once. Acknowledgements are not limited: they cost
# next to nothing, and nothing answers them.
REQUESTS_PER_SECOND_MAX = 200
HEARTBEATS_PER_SECOND_MAX = 20  # twice what the shortest lease needs
STRANGERS_REQUESTS_PER_SECOND_MAX = 20  # in the name of a client without a session
REFUSALS_PER_SECOND_MAX = 5  # that say "too fast"; more are only counted
BURST_SECONDS = 2.0
PROOFS_REMEMBERED_MAX = 10_000  # of the last 20 seconds, so that none opens a second session

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
    """The limits of the session and stream machine; rates are those of one client."""

    sessions: int = SESSIONS_MAX
    running: int = RUNNING_STREAMS_MAX
    running_per_client: int = RUNNING_STREAMS_PER_CLIENT_MAX
    waiting: int = WAITING_STREAMS_MAX
    waiting_per_client: int = WAITING_STREAMS_PER_CLIENT_MAX
    message_bytes: int = CONTROL_MESSAGE_BYTES_MAX
    requests_per_second: int = REQUESTS_PER_SECOND_MAX
    heartbeats_per_second: int = HEARTBEATS_PER_SECOND_MAX
    strangers_per_second: int = STRANGERS_REQUESTS_PER_SECOND_MAX
    refusals_per_second: int = REFUSALS_PER_SECOND_MAX
    proofs: int = PROOFS_REMEMBERED_MAX
    lease_ms: int = LEASE_MS_DEFAULT
    abandoned_s: float = ABANDONED_SECONDS

    def granted_ms(self, lease_ms: int) -> int:
        """The lease granted for the one that was asked for; 0 asks for the default."""
        return min(max(lease_ms or self.lease_ms, LEASE_MS_MIN), LEASE_MS_MAX)

    def lease_s(self, lease_ms: int) -> float:
        """The lease granted for the one that was asked for, in seconds."""
        return self.granted_ms(lease_ms) / 1_000
