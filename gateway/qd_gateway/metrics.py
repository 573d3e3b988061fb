"""What the gateway counts and measures, for Prometheus. It serves nothing and decides nothing.

The shell and the runner of streams call one method for each thing that happens. Each name of a
metric begins with ``qd_gateway_``; rates such as trades per second are Prometheus's business.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

_PREFIX: Final = "qd_gateway_"
# From what takes one packet to what waits for its turn among a thousand streams.
_SECONDS: Final = (
    *(0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05),
    *(0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0),
)


class ControlResult(Enum):
    """What became of a record on the control topic."""

    HANDLED = "handled"
    IGNORED = "ignored"
    OTHERS = "others"
    """Another gateway answers its client."""
    REPEATED = "repeated"
    """It was handled before this gateway took its client over."""


class Rows(Enum):
    """What a stream's rows are."""

    TRADES = "trades"
    BARS = "bars"


class GatewayMetrics:
    """All metrics of one gateway, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._children: dict[tuple[Counter | Enum, ...], Counter] = {}
        ProcessCollector(registry=self.registry)
        self._make_sessions()
        self._make_streams()
        self._make_control()
        self._make_state()

    def _make_sessions(self) -> None:
        self._sessions = self._gauge("sessions", "Clients that are logged in.")
        self._logins = self._counter("logins", "Sessions that began.", "version")
        self._logouts = self._counter("session_ends", "Sessions that ended.", "cause")
        self._restored = self._counter("sessions_restored", "Sessions taken over or restored.")
        self._refusals = self._counter("refusals", "Requests refused.", "type", "reason")
        self._waiting_replies = self._gauge("replies_waiting", "Replies that wait to be sent.")
        self._dropped_replies = self._counter("replies_dropped", "Replies that were not sent.")

    def _make_streams(self) -> None:
        self._running = self._gauge("streams_running", "Streams that run.")
        self._waiting = self._gauge("streams_waiting", "Streams that wait for their turn.")
        self._stream_ends = self._counter("stream_ends", "Streams that ended.", "outcome")
        self._rows = self._counter("rows_sent", "Rows sent.", "kind")
        self._records = self._counter("records_sent", "Records sent.", "kind")
        self._octets = self._counter("bytes_sent", "Bytes of records sent.", "kind")
        self._first_row = self._seconds("first_row", "From a stream's request to its first row.")
        self._piece = self._seconds("piece_read", "Reading one piece of rows from the database.")
        self._frame = self._seconds("frame_sent", "From rows at hand to records handed over.")

    def _make_control(self) -> None:
        self._control = self._counter("control_records", "Records of the control topic.", "result")
        self._ignored = self._counter("ignored", "Records that were not answered.", "reason")
        self._lag_seconds = self._gauge(
            "control_lag_seconds", "From the last control record's timestamp to its handling."
        )

    def _make_state(self) -> None:
        self._database = self._gauge("database_up", "Whether the database answers.")
        self._cluster = self._gauge("cluster_up", "Whether the Fluvio cluster is connected.")
        self._slots = self._gauge("slots_held", "Slots of clients that this gateway serves.")
        self._swept = self._counter("topics_swept", "Topics deleted that no session used.")

    # --- sessions ---------------------------------------------------------------------

    def sessions(self, count: int) -> None:
        """Set how many clients are logged in."""
        self._sessions.set(count)

    def logged_in(self, version: int) -> None:
        """Count a session that began."""
        self._logins.labels(str(version)).inc()

    def session_ended(self, cause: Enum) -> None:
        """Count a session that ended."""
        self._logouts.labels(cause.name.lower()).inc()

    def restored(self, sessions: int) -> None:
        """Count sessions that this gateway took over, or restored after a start."""
        self._restored.inc(sessions)

    def refused(self, error: Enum, reason: Enum) -> None:
        """Count a refusal, by the type of its error and its reason."""
        self._child(self._refusals, error, reason).inc()

    def replies_waiting(self, count: int) -> None:
        """Set how many replies wait, of all clients."""
        self._waiting_replies.set(count)

    def reply_dropped(self) -> None:
        """Count a reply that was not sent."""
        self._dropped_replies.inc()

    # --- streams ----------------------------------------------------------------------

    def streams(self, running: int, waiting: int) -> None:
        """Set how many streams run, and how many wait for their turn."""
        self._running.set(running)
        self._waiting.set(waiting)

    def stream_ended(self, outcome: str) -> None:
        """Count a stream that ended: ``complete``, ``stopped``, ``aborted``, an error's name."""
        self._stream_ends.labels(outcome).inc()

    def sent(self, kind: Rows, rows: int, records: int, octets: int) -> None:
        """Count what was handed to a client's producer."""
        self._rows.labels(kind.value).inc(rows)
        self._records.labels(kind.value).inc(records)
        self._octets.labels(kind.value).inc(octets)

    def first_row(self, seconds: float) -> None:
        """Measure the time from a stream's request to its first row."""
        self._first_row.observe(seconds)

    def piece_read(self, seconds: float) -> None:
        """Measure the reading of one piece."""
        self._piece.observe(seconds)

    def frame_sent(self, seconds: float) -> None:
        """Measure the encoding and sending of rows at hand."""
        self._frame.observe(seconds)

    # --- the control topic ------------------------------------------------------------

    def control(self, result: ControlResult, records: int = 1) -> None:
        """Count records of the control topic."""
        self._control.labels(result.value).inc(records)

    def ignored(self, reason: Enum) -> None:
        """Count a record that was not answered."""
        self._child(self._ignored, reason).inc()

    def lag(self, seconds: float) -> None:
        """Set how far the reading of the control topic is behind."""
        self._lag_seconds.set(seconds)

    # --- what it depends on -----------------------------------------------------------

    def database(self, *, up: bool) -> None:
        """Note whether the database answers."""
        self._database.set(up)

    def cluster(self, *, up: bool) -> None:
        """Note whether the cluster is connected."""
        self._cluster.set(up)

    def slots(self, held: int) -> None:
        """Set how many slots this gateway holds."""
        self._slots.set(held)

    def swept(self, topics: int) -> None:
        """Count topics deleted because no session used them."""
        self._swept.inc(topics)

    # --- making them ------------------------------------------------------------------

    def _child(self, counter: Counter, *labels: Enum) -> Counter:
        """The counter of these labels; in a flood, finding it by their texts takes long."""
        found = self._children.get((counter, *labels))
        if found is None:
            found = counter.labels(*(label.name.lower() for label in labels))
            self._children[counter, *labels] = found
        return found

    def _gauge(self, name: str, text: str) -> Gauge:
        return Gauge(_PREFIX + name, text, registry=self.registry)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(_PREFIX + name, text, labels, registry=self.registry)

    def _seconds(self, name: str, text: str) -> Histogram:
        return Histogram(f"{_PREFIX}{name}_seconds", text, buckets=_SECONDS, registry=self.registry)
