"""The producing worker: a thread for each producer, so that a stalled topic stalls no other.

The client releases the interpreter lock while it sends and flushes. It holds the lock while
it waits for one record's acknowledgement, so that is asked only after a flush, when it is
there already; a flush by itself does not tell whether the cluster refused a batch.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Mapping
from itertools import repeat
from typing import Any

import fluvio

from qd_fluvio.limits import RECORD_OVERHEAD_BYTES
from qd_fluvio.worker import client
from qd_fluvio.worker.frames import Frame, Kind, acked_frame, json_frame, read_send
from qd_fluvio.worker.pipe import Pipe

BATCH_BYTES = 256 * 1024
LINGER_MS = 0
# Sent before acknowledgements are collected: enough that the round trip hardly counts.
FLUSH_BYTES = 2 * 1024 * 1024
# Records of at most this size go to the client in groups, larger ones by themselves.
SMALL_RECORD_BYTES = 4096
# The client refuses a record that does not fit a request (1 MiB, headers counted) beside the
# batch before it, although that one is full, unless it has been sent already.
REQUEST_BYTES = 1024 * 1024 - 4096
ASKED_EACH_MAX = 64
_NO_KEY = b""  # the client writes a key always; consumers here take an empty one for none
GROUP_RECORDS_MAX = 4096
GROUP_BYTES_MAX = 512 * 1024

_Sent = tuple[list[bytes], list[bytes | None] | None]


class Clients:
    """The connection that all producers share; replaced after a failure."""

    def __init__(self, endpoint: str, tls: Mapping[str, str] | None, *, inside: bool) -> None:
        self._endpoint = endpoint
        self._tls = tls
        self._inside = inside
        self._client: fluvio.Fluvio | None = None
        self._connecting = threading.Lock()

    def get(self) -> fluvio.Fluvio:
        """The connection, made when it is first needed."""
        with self._connecting:
            if self._client is None:
                self._client = client.connect(self._endpoint, self._tls, inside=self._inside)
            return self._client

    def forget(self) -> None:
        """Connect anew for the next producer: this connection may be broken."""
        self._client = None


class Channel(threading.Thread):
    """One producer: takes payloads in order, sends them, reports what is acknowledged."""

    def __init__(self, pipe: Pipe, number: int, clients: Clients, call: dict[str, Any]) -> None:
        super().__init__(daemon=True, name=f"producer-{number}")
        self._pipe = pipe
        self._number = number
        self._clients = clients
        self._topic: str = call["topic"]
        self._partition: int = call["partition"]
        self._compression: str | None = call["compression"]
        self._timeout_ms: int = call["timeout_ms"]
        self._inbox: queue.SimpleQueue[_Sent | None] = queue.SimpleQueue()
        self._unproven: list[fluvio.ProduceOutput] = []
        self._unproven_bytes = 0
        self._waiting_bytes = 0  # at most, of the batch that the client may not have sent yet
        self._records = 0
        self._cost_bytes = 0

    def put(self, sent: _Sent | None) -> None:
        """Payloads to send with their keys, or None: there will be no more."""
        self._inbox.put(sent)

    def run(self) -> None:
        """Serve the channel; the thread's body."""
        try:
            producer = self._open()
            self._pipe.write(json_frame(Kind.RESULT, self._number))
            while (sent := self._inbox.get()) is not None:
                self._send(producer, *sent)
                if self._inbox.empty() or self._unproven_bytes >= FLUSH_BYTES:
                    self._prove(producer)
        except BaseException as error:  # a panic of the client is no Exception
            self._clients.forget()
            self._pipe.fail(self._number, error)

    def _open(self) -> fluvio.TopicProducer:
        settings = (
            fluvio.TopicProducerConfigBuilder()
            .batch_size(BATCH_BYTES)
            .linger(LINGER_MS)
            .set_specific_partitioner(self._partition)
            # Acknowledged is what is as safe as the topic promises, on all its replicas.
            .isolation(fluvio.Isolation.ReadCommitted)
            .timeout(self._timeout_ms)  # for the replicas
        )
        if self._compression is not None:
            settings = settings.compression(getattr(fluvio.Compression, self._compression))
        return self._clients.get().topic_producer_with_config(self._topic, settings.build())

    def _send(
        self,
        producer: fluvio.TopicProducer,
        payloads: list[bytes],
        keys: list[bytes | None] | None,
    ) -> None:
        group: list[tuple[bytes, bytes]] = []
        group_bytes = 0
        for key, payload in zip(keys or repeat(None), payloads, strict=False):
            size = len(payload) + len(key or _NO_KEY)
            self._unproven_bytes += size + RECORD_OVERHEAD_BYTES
            small = size <= SMALL_RECORD_BYTES
            if small:
                group.append((key or _NO_KEY, payload))
                group_bytes += size
            if group and (
                not small or len(group) >= GROUP_RECORDS_MAX or group_bytes >= GROUP_BYTES_MAX
            ):
                self._unproven += producer.send_all(group)
                self._waiting_bytes = max(self._waiting_bytes, BATCH_BYTES)
                group, group_bytes = [], 0
            if not small:
                self._make_room(producer, size)
                self._unproven.append(producer.send(key or _NO_KEY, payload))
        if group:
            self._unproven += producer.send_all(group)
            self._waiting_bytes = max(self._waiting_bytes, BATCH_BYTES)

    def _make_room(self, producer: fluvio.TopicProducer, size: int) -> None:
        """Have the batch before sent, if a record of this size does not fit beside it."""
        if self._waiting_bytes + size > REQUEST_BYTES:
            producer.flush()
            self._waiting_bytes = 0
        self._waiting_bytes = max(self._waiting_bytes, size, BATCH_BYTES)

    def _prove(self, producer: fluvio.TopicProducer) -> None:
        """Wait for the cluster, make sure that it took every record, and say so."""
        producer.flush()
        self._waiting_bytes = 0
        require_written(self._unproven)
        self._records += len(self._unproven)
        self._cost_bytes += self._unproven_bytes
        self._unproven, self._unproven_bytes = [], 0
        self._pipe.write(acked_frame(self._number, self._records, self._cost_bytes))


def require_written(outputs: list[fluvio.ProduceOutput]) -> None:
    """Raise the cluster's refusal, if it refused any of these records; call after a flush.

    Asking for each record takes as long as sending a small one. A partition numbers records in
    order and takes a batch whole or not at all: if the first and the last of many are as far
    apart as they should be, all between them were written.
    """
    if len(outputs) <= ASKED_EACH_MAX:
        for output in outputs:
            output._inner.wait()
        return
    first, last = outputs[0]._inner.wait(), outputs[-1]._inner.wait()
    if not first or not last or last.offset() - first.offset() != len(outputs) - 1:
        for output in outputs[1:-1]:
            output._inner.wait()


def run(pipe: Pipe, first: Frame) -> None:
    """Serve producers until the parent closes."""
    call = first.json()
    clients = Clients(call["endpoint"], call["tls"], inside=call["inside"])
    channels: dict[int, Channel] = {}
    frame = first
    while True:
        number = frame.channel
        if frame.kind is Kind.CALL:
            channels[number] = Channel(pipe, number, clients, frame.json())
            channels[number].start()
        elif frame.kind is Kind.SEND:
            channels[number].put(read_send(frame.body))
        else:
            channels.pop(number).put(None)
        frame = pipe.read()
