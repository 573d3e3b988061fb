"""Produce requests around batches that are not copied into them.

All but the batch and some numbers is the same in every request for one partition, so it is
encoded once.
"""

from __future__ import annotations

from qd_fluvio.wire.data import PRODUCE, ProducePartition, ProduceRequest, ProduceTopic
from qd_fluvio.wire.frames import LENGTH, encode_request

ACKS_WRITTEN = 1  # by the leader; what Fluvio's clients ask for
_IDS_AT = 8  # where the correlation id is: after the frame's length, the API's key and version
_REST_AT = _IDS_AT + LENGTH.size


class ProduceFrames:
    """Makes the requests of one producer for one partition.

    Parameters
    ----------
    topic, partition
        Where batches go.
    version : int
        The version of the API.
    client_id : str
        What the request's header names.
    timeout_ms : int
        How long the server may wait for other replicas.
    """

    def __init__(
        self, topic: str, partition: int, *, version: int, client_id: str, timeout_ms: int
    ) -> None:
        empty = ProducePartition(partition, b"")
        request = ProduceRequest(None, ACKS_WRITTEN, timeout_ms, (ProduceTopic(topic, (empty,)),))
        frame = encode_request(
            PRODUCE, request, version=version, correlation_id=0, client_id=client_id
        )
        # It ends with the length of the records, and the number of SmartModules.
        self._length = len(frame) - LENGTH.size
        self._key = frame[LENGTH.size : _IDS_AT]
        self._rest = frame[_REST_AT : -2 * LENGTH.size]
        self._tail = frame[-LENGTH.size :]

    def parts(self, correlation_id: int, head: bytes, body: bytes) -> tuple[bytes, bytes, bytes]:
        """The frame of a request for one batch, in the order in which its parts are sent."""
        batch_bytes = len(head) + len(body)
        start = b"".join(
            (
                LENGTH.pack(self._length + batch_bytes),
                self._key,
                LENGTH.pack(correlation_id),
                self._rest,
                LENGTH.pack(batch_bytes),
                head,
            )
        )
        return start, body, self._tail
