"""How long the client waits and how much it holds: every limit, with its unit."""

from __future__ import annotations

LEASE_MS_DEFAULT = 6_000
HEARTBEATS_PER_LEASE = 3
LOGIN_SECONDS_MAX = 10.0
# Version 1 has no answer to a successful login; a refusal comes within this time.
LOGIN_SECONDS_V1 = 0.5
LOGIN_TRIES_MAX = 5  # with ids chosen at random
# For one step of tidying up; a cluster that misses it is not asked for another.
TIDY_SECONDS_MAX = 1.5
PROBE_SECONDS_MAX = 2.0  # asking whether the cluster or the gateway fell silent

STREAM_BYTES_MAX = 8 * 1024 * 1024  # that one stream holds before its reader waits
TAKE_BYTES_MAX = 1024 * 1024  # of frames that are given to the user as one array
ALERTS_REMEMBERED_MAX = 1_000_000  # for telling repeats apart
