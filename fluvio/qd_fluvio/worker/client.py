"""The official client as the workers use it: connecting, and what its objects lack.

Runs in worker processes only: every call here may block, hang, or hold the interpreter lock.
"""

from __future__ import annotations

from collections.abc import Mapping

import fluvio


def config(
    endpoint: str, tls: Mapping[str, str] | None, *, inside: bool = False
) -> fluvio.FluvioConfig:
    """A configuration for a cluster's SC at ``host:port``, with or without TLS.

    `inside` takes SPUs' addresses for clients in the same Kubernetes cluster.
    """
    found = fluvio.FluvioConfig.new(endpoint)
    found.set_use_spu_local_address(inside)
    if tls is None:
        found.disable_tls()
    else:
        found.set_tls_file_paths(tls["domain"], tls["key"], tls["cert"], tls["ca"])
    return found


def connect(endpoint: str, tls: Mapping[str, str] | None, *, inside: bool = False) -> fluvio.Fluvio:
    """A client for producing and consuming; see `config`."""
    return fluvio.Fluvio.connect_with_config(config(endpoint, tls, inside=inside))


def open_stream(
    client: fluvio.Fluvio,
    topic: str,
    partition: int,
    offset: fluvio.Offset,
    *,
    fetch_bytes_max: int,
    continuous: bool = True,
) -> fluvio.NativeStream:
    """A synchronous stream that reports its end.

    The partition consumer is used, and not the newer ``consumer_with_config``, because that one
    reconnects by itself for ever, hides errors, and takes a timer and a lock for each record.
    The wrapper has no setter for the fetch size; the native object has.
    """
    settings = fluvio.ConsumerConfig()
    settings.disable_continuous(not continuous)
    settings._inner.max_bytes(fetch_bytes_max)
    consumer = client.partition_consumer(topic, partition)
    return consumer._inner.stream_with_config(offset, settings._inner)
