"""TLS seen by the official client library, as a script: MODE ENDPOINT DOMAIN CA CERT KEY.

The library may hang or hold Python's lock, so tests run it in a process of its own. What
happened goes to standard output as one JSON text.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from pathlib import Path
from typing import Any

# The project's own types for the library cover what the project uses; scenes use more.
library: Any = importlib.import_module("fluvio")


def configuration(
    mode: str, endpoint: str, domain: str, authority: str, cert: str, key: str
) -> Any:
    config = library.FluvioConfig.new(endpoint)
    if mode == "files":
        config.set_tls_file_paths(domain, key, cert, authority)
    elif mode == "inline":
        config.set_inline_tls(domain, *(Path(path).read_text() for path in (key, cert, authority)))
    elif mode == "anonymous":
        config.set_anonymous_tls()
    else:
        config.disable_tls()
    return config


def round_trip(config: Any) -> object:
    """Create, produce, consume: through both ports."""
    admin = library.FluvioAdmin.connect_with_config(config)
    client = library.Fluvio.connect_with_config(config)
    admin.create_topic("secured")
    producer = client.topic_producer("secured")
    values = [b"%03d" % number + bytes(50_000) for number in range(100)]
    for value in values:
        producer.send(b"", value)
    producer.flush()
    consumer_config = library.ConsumerConfig()
    consumer_config.disable_continuous(True)
    stream = client.partition_consumer("secured", 0).stream_with_config(
        library.Offset.beginning(), consumer_config
    )
    found = [bytes(item.value()) for item in stream]
    admin.delete_topic("secured")
    return found == values


if __name__ == "__main__":
    try:
        result = round_trip(configuration(*sys.argv[1:]))
    except Exception as error:  # the library has one class for all
        result = str(error)
    print(json.dumps(result), flush=True)
    os._exit(0)  # the library's threads sometimes crash an interpreter that ends in order
