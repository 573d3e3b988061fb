"""How long the client waits and how much it holds: every limit, with its unit."""

from __future__ import annotations

LEASE_MS_DEFAULT = 6_000
HEARTBEATS_PER_LEASE = 3
TICKS_PER_LEASE = 24  # how often it is looked what is due; but
TICK_SECONDS_MAX = 0.25
# A turn of the event loop that came so many ticks late says nothing about the gateway.
LATE_TICKS = 6

LOGIN_SECONDS_MAX = 10.0  # for the first login; later ones go on until a stream's patience ends
LOGIN_RESEND_SECONDS = 1.0
# Version 1 has no answer to a successful login: this is how long a refusal may take; and how long
# where the client's topics were there already, so that somebody else may have the id.
LOGIN_SECONDS_V1 = 0.5
LOGIN_SECONDS_V1_SHARED = 5.0
LOGIN_TRIES_MAX = 5  # with ids chosen at random
# A proof is right for ten seconds at least: after that the gateway asks with another nonce.
PROOF_SECONDS_MAX = 8.0
NONCES_MAX = 4  # that one login is asked with
# A session that may still be there is asked for so long before another login.
DOUBT_SECONDS_MAX = 3.0
# For one step of tidying up; a cluster that misses it is not asked for another.
TIDY_SECONDS_MAX = 1.5
PROBE_SECONDS_MAX = 2.0  # asking whether the cluster or the gateway fell silent
SEND_SECONDS_MAX = 5.0  # for a request, before another producer is opened for the next one

PATIENCE_SECONDS_DEFAULT = 60.0  # without a row, before a stream gives up
RETRY_SECONDS_FIRST = 0.1
RETRY_SECONDS_MAX = 5.0
# For a replay's streams that have not begun, while the others wait for their rows.
REPLAY_BEGIN_SECONDS_MAX = 60.0
GAP_TRIES_MAX = 3  # for rows that do not come though the gateway has them

# The gateway sends no more than this beyond what was taken, so that a stream's records wait
# here only up to it; the second bound is for gateways and versions that know no such window.
WINDOW_BYTES = 7 * 1024 * 1024 + 512 * 1024
ACKS_PER_WINDOW = 4
STREAM_BYTES_MAX = 8 * 1024 * 1024  # that one stream holds before its reader waits
TAKE_BYTES_MAX = 1024 * 1024  # of frames that are given to the user as one array
ALERTS_REMEMBERED_MAX = 1_000_000  # for telling repeats apart
