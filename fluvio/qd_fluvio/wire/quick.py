"""What goes and comes with every batch, without the general codec.

A lone record's way takes as long as its requests and answers take to write and read, so the
few that are always alike are made from templates and compared with what is expected. What is
not as expected is left to the general codec, which also says what is wrong with it.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from qd_fluvio.wire.codec import encode
from qd_fluvio.wire.data import (
    PRODUCE,
    STREAM_FETCH,
    UPDATE_OFFSETS,
    OffsetUpdate,
    ProducedPartition,
    ProducedTopic,
    ProducePartition,
    ProduceRequest,
    ProduceResponse,
    ProduceTopic,
    UpdateOffsetsRequest,
)
from qd_fluvio.wire.failures import OK, Failure
from qd_fluvio.wire.frames import LENGTH, decode_response, encode_request

ACKS_COMMITTED = -1  # by all replicas: acknowledged is what is as safe as the topic promises
_IDS_AT = 8  # where the correlation id is: after the frame's length, the API's key and version
_REST_AT = _IDS_AT + LENGTH.size
_CORRELATION_BYTES = 4
# What an answer to a produce request ends with: three of 8 bytes, and a throttle of 4.
_OFFSETS_AND_TIMES_BYTES = 28
_OFFSET_AND_STREAM = struct.Struct(">qI")
_STREAM_AND_PARTITION = struct.Struct(">II")
# error, high watermark, next filter offset, log start offset, no aborted ones, records' length
_PORTION = struct.Struct(">hqqq?i")
# The answer to one update of one stream.
_UPDATED_BYTES = 14
_PORTION_SINCE = 11  # the version from which it has all these


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
        request = ProduceRequest(None, ACKS_COMMITTED, timeout_ms, (ProduceTopic(topic, (empty,)),))
        frame = encode_request(
            PRODUCE, request, version=version, correlation_id=0, client_id=client_id
        )
        # It ends with the length of the records, and the number of SmartModules.
        self._length = len(frame) - LENGTH.size
        self._key = frame[LENGTH.size : _IDS_AT]
        self._rest = frame[_REST_AT : -2 * LENGTH.size]
        self._tail = frame[-LENGTH.size :]
        written = ProduceResponse((ProducedTopic(topic, (ProducedPartition(partition),)),))
        answer = encode(written, version)
        self._answer_bytes = _CORRELATION_BYTES + len(answer)
        self._written = answer[:-_OFFSETS_AND_TIMES_BYTES]

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

    def written(self, payload: bytearray) -> bool:
        """Whether an answer says that the batch was written; if not, decode it."""
        return len(payload) == self._answer_bytes and payload.startswith(
            self._written, _CORRELATION_BYTES
        )


class UpdateFrames:
    """Makes the requests that tell how far a stream was read."""

    def __init__(self, stream_id: int, *, client_id: str) -> None:
        request = UpdateOffsetsRequest((OffsetUpdate(0, stream_id),))
        version = UPDATE_OFFSETS.version_max  # the only one
        frame = encode_request(
            UPDATE_OFFSETS, request, version=version, correlation_id=0, client_id=client_id
        )
        self._stream_id = stream_id
        self._start = frame[:_IDS_AT]
        self._rest = frame[_REST_AT : -_OFFSET_AND_STREAM.size]

    def frame(self, correlation_id: int, offset: int) -> bytes:
        """The frame of a request."""
        return b"".join(
            (
                self._start,
                LENGTH.pack(correlation_id),
                self._rest,
                _OFFSET_AND_STREAM.pack(offset, self._stream_id),
            )
        )


def update_failure(payload: bytearray) -> Failure:
    """What an answer to an update says."""
    if payload.endswith(b"\0\0") and len(payload) == _UPDATED_BYTES:
        return OK
    _, answer = decode_response(payload, UPDATE_OFFSETS, UPDATE_OFFSETS.version_max)
    return next((updated.error for updated in answer.offsets if updated.error), OK)


@dataclass(frozen=True, slots=True)
class Portion:
    """What one answer to a stream fetch brings."""

    stream_id: int
    failure: Failure
    records: memoryview


def read_portion(payload: bytearray, version: int) -> Portion:
    """Read an answer to a stream fetch; its records are not copied.

    Raises
    ------
    WireError
        If it is none.
    """
    if version >= _PORTION_SINCE and (portion := _plain_portion(payload)) is not None:
        return portion
    _, answer = decode_response(payload, STREAM_FETCH, version)
    found = answer.partition
    return Portion(answer.stream_id, found.error, memoryview(found.records))


def _plain_portion(payload: bytearray) -> Portion | None:
    """A portion with records and nothing else, or None."""
    name_at = _CORRELATION_BYTES + 2
    name_bytes = int.from_bytes(payload[_CORRELATION_BYTES:name_at])
    start = name_at + name_bytes + _STREAM_AND_PARTITION.size
    end = start + _PORTION.size
    if end > len(payload):
        return None
    code, _, _, _, aborted, length = _PORTION.unpack_from(payload, start)
    if code or aborted or end + length != len(payload):
        return None
    stream_id, _ = _STREAM_AND_PARTITION.unpack_from(payload, start - _STREAM_AND_PARTITION.size)
    return Portion(stream_id, OK, memoryview(payload)[end:])
