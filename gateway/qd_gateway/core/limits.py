"""How much the gateway does at once: every limit, with its unit, in one place."""

from __future__ import annotations

from dataclasses import dataclass

from qd_schemas.settings import table
from qd_schemas.specs import LEASE_MS_DEFAULT, LEASE_MS_MAX, LEASE_MS_MIN, GatewaySettings

WAITING_STREAMS_PER_CLIENT_MAX = 64
CONTROL_MESSAGE_BYTES_MAX = 1_024
# Of one client; what two seconds bring may come at once. Acknowledgements are not limited: they
# cost next to nothing, and nothing answers them.
HEARTBEATS_PER_SECOND_MAX = 20  # twice what the shortest lease needs
STRANGERS_REQUESTS_PER_SECOND_MAX = 20  # in the name of a client without a session
REFUSALS_PER_SECOND_MAX = 5  # that say "too fast"; more are only counted
BURST_SECONDS = 2.0
PROOFS_REMEMBERED_MAX = 10_000  # of the last 20 seconds, so that none opens a second session

REPLIES_WAITING_MAX = 1_024  # for one client, before its own replies are dropped
REPLY_TRIES_MAX = 5
STRANGERS_WAITING_MAX = 256  # replies to clients without a session, before more are dropped
STRANGERS_AT_ONCE = 32  # most of them wait for the same answer: that they have no topics
OPENING_AT_ONCE = 8  # producers that are being opened

CHANNEL_OPEN_SECONDS_MAX = 3.0  # for a client's new topics to be seen
PARK_SECONDS_MAX = 1.0  # for clients' streams to end before another gateway serves them
MAY_ACT_SECONDS = 0.02  # until whoever may not act looks again
END_OFFSET_SECONDS_MAX = 1.0  # for the cluster to say where the control topic ends
PROGRESS_SECONDS = 2.0  # from one saving of what streams have sent to the next
PROGRESS_STREAMS_MAX = 100  # of which it is saved then: more would hold up paced ones
SWEEP_SECONDS = 10.0  # from one look for unused topics to the next
STOP_SECONDS_MAX = 1.5  # for everything, so that the service ends within two seconds
STREAMS_STOP_SECONDS_MAX = 1.0
RECONNECT_SECONDS_MIN = 0.1
RECONNECT_SECONDS_MAX = 5.0
TICK_SECONDS = 0.1
ABANDONED_SECONDS = 60.0  # for which topics are kept that no session uses
RECORDS_AT_ONCE = 500  # of the control topic, before all else has its turn
IGNORED_LINES_PER_SECOND_MAX = 5  # in the log, for records that are no requests
STRANGERS_LINES_PER_SECOND_MAX = 50  # for refusals of clients without a session


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of the session and stream machine; rates are those of one client."""

    sessions: int = table.GATEWAY_SESSIONS_MAX.usual
    running: int = table.GATEWAY_STREAMS_MAX.usual
    running_per_client: int = table.GATEWAY_STREAMS_PER_CLIENT_MAX.usual
    waiting: int = table.GATEWAY_STREAMS_MAX.usual
    waiting_per_client: int = WAITING_STREAMS_PER_CLIENT_MAX
    message_bytes: int = CONTROL_MESSAGE_BYTES_MAX
    requests_per_second: int = table.GATEWAY_REQUESTS_PER_SECOND_MAX.usual
    heartbeats_per_second: int = HEARTBEATS_PER_SECOND_MAX
    strangers_per_second: int = STRANGERS_REQUESTS_PER_SECOND_MAX
    refusals_per_second: int = REFUSALS_PER_SECOND_MAX
    proofs: int = PROOFS_REMEMBERED_MAX
    lease_ms: int = LEASE_MS_DEFAULT
    abandoned_s: float = ABANDONED_SECONDS

    @classmethod
    def of(cls, settings: GatewaySettings) -> Limits:
        """The limits that the settings ask for; as many streams may wait as may run."""
        return cls(
            sessions=settings.sessions_max,
            running=settings.streams_max,
            running_per_client=settings.streams_per_client_max,
            waiting=settings.streams_max,
            requests_per_second=settings.requests_per_second_max,
            lease_ms=settings.lease_ms,
        )

    def granted_ms(self, lease_ms: int) -> int:
        """The lease granted for the one that was asked for; 0 asks for the default."""
        return min(max(lease_ms or self.lease_ms, LEASE_MS_MIN), LEASE_MS_MAX)

    def lease_s(self, lease_ms: int) -> float:
        """The lease granted for the one that was asked for, in seconds."""
        return self.granted_ms(lease_ms) / 1_000
