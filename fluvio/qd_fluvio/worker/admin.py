"""The administering worker: topics and offsets, one call after the other.

Each call may hang for ever: the parent has the deadline and kills this process.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import fluvio

from qd_fluvio.worker import client
from qd_fluvio.worker.frames import Frame, Kind, json_frame
from qd_fluvio.worker.pipe import Pipe

Fields = dict[str, Any]
PROBE_BYTES_MAX = 1_000_000


class Admin:
    """The calls, by name; each takes and gives JSON fields."""

    def __init__(self, endpoint: str) -> None:
        self._endpoint = endpoint
        self._admin = fluvio.FluvioAdmin.connect_with_config(client.config(endpoint))
        self._client: fluvio.Fluvio | None = None
        self.calls: dict[str, Callable[[Fields], Fields]] = {
            "connect": self._connect,
            "create": self._create,
            "delete": self._delete,
            "names": self._names,
            "probe": self._probe,
        }

    def _connect(self, _: Fields) -> Fields:
        return {}

    def _create(self, call: Fields) -> Fields:
        spec = (
            fluvio.TopicSpec.create()
            .with_partitions(call["partitions"])
            .with_replications(call["replication"])
        )
        if call["retention_s"] is not None:
            spec = spec.with_retention_time(call["retention_s"])
        if call["segment_bytes"] is not None:
            spec = spec.with_segment_size(call["segment_bytes"])
        if call["max_partition_bytes"] is not None:
            spec = spec.with_max_partition_size(call["max_partition_bytes"])
        self._admin.create_topic(call["topic"], spec.build())
        return {}

    def _delete(self, call: Fields) -> Fields:
        self._admin.delete_topic(call["topic"])
        return {}

    def _names(self, _: Fields) -> Fields:
        return {
            "topics": [topic.name() for topic in self._admin.all_topics()],
            "partitions": [found.name() for found in self._admin.list_partitions([])],
        }

    def _probe(self, call: Fields) -> Fields:
        """Open a producer and a stream, as users of the topic will."""
        if self._client is None:
            self._client = client.connect(self._endpoint)
        self._client.topic_producer(call["topic"])
        client.open_stream(
            self._client,
            call["topic"],
            call["partition"],
            fluvio.Offset.end(),
            fetch_bytes_max=PROBE_BYTES_MAX,
            continuous=False,
        )
        return {}


def run(pipe: Pipe, first: Frame) -> None:
    """Serve calls until the parent closes."""
    admin: Admin | None = None
    frame = first
    while True:
        call = frame.json()
        try:
            if admin is None:
                admin = Admin(call["endpoint"])
            pipe.write(json_frame(Kind.RESULT, frame.channel, **admin.calls[call["call"]](call)))
        except BaseException as error:  # a panic of the client is no Exception
            pipe.fail(frame.channel, error)
        frame = pipe.read()
