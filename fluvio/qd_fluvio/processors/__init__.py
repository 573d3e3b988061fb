"""Record processors in Python: filter, map, aggregate, window and more, over Fluvio topics.

A processor is made of a plain function with a decorator, is tried without a broker
(``processor.run(records)``), and run on topics by `qd_fluvio.processors.runner` or the command
``qd process run``. The core does no input or output.

>>> from qd_fluvio import processors as p
>>> @p.filter(p.JSON)
... def large(trade):
...     return trade["volume"] > 10
>>> [record.value for record in large.run([b'{"volume": 5}', b'{"volume": 50}'])]
[b'{"volume": 50}']
"""

from qd_fluvio.processors.codecs import BYTES, JSON, RECORD, SBE, TEXT, Codec
from qd_fluvio.processors.decorators import array_map, dispatch, filter, filter_map, flat_map, map
from qd_fluvio.processors.errors import (
    BadProcessor,
    NotAlone,
    ProcessorError,
    RecordFailed,
    StateUnusable,
    TakenOver,
)
from qd_fluvio.processors.pipeline import read_letter
from qd_fluvio.processors.processor import Processor, chain
from qd_fluvio.processors.rows import BAR_ROW, BARS, TRADE_ROW, TRADES, RowsCodec
from qd_fluvio.processors.stages.windows import Window
from qd_fluvio.processors.stamps import Place, Source, read_stamp, users_key
from qd_fluvio.processors.stateful import aggregate, deduplicate, window
from qd_fluvio.processors.values import Failure, Out

__all__ = [
    "BARS",
    "BAR_ROW",
    "BYTES",
    "JSON",
    "RECORD",
    "SBE",
    "TEXT",
    "TRADES",
    "TRADE_ROW",
    "BadProcessor",
    "Codec",
    "Failure",
    "NotAlone",
    "Out",
    "Place",
    "Processor",
    "ProcessorError",
    "RecordFailed",
    "RowsCodec",
    "Source",
    "StateUnusable",
    "TakenOver",
    "Window",
    "aggregate",
    "array_map",
    "chain",
    "deduplicate",
    "dispatch",
    "filter",
    "filter_map",
    "flat_map",
    "map",
    "read_letter",
    "read_stamp",
    "users_key",
    "window",
]
