"""The official client library's choice of partitions, as a script: ENDPOINT TOPIC KEYS.

It sends one record for each key, which are given in hexadecimal digits and commas.
"""

from __future__ import annotations

import importlib
import json
import sys
from typing import Any

# The project's own types for the library cover what the project uses; this uses more.
library: Any = importlib.import_module("fluvio")


def main(endpoint: str, topic: str, keys: str) -> None:
    config = library.FluvioConfig.new(endpoint)
    config.disable_tls()
    producer = library.Fluvio.connect_with_config(config).topic_producer(topic)
    for key in keys.split(","):
        producer.send(bytes.fromhex(key), b"value")
    producer.flush()
    print(json.dumps(True))


main(*sys.argv[1:])
