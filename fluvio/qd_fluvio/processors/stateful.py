"""The decorators of steps with a state: aggregate, deduplicate, window."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

from qd_fluvio.processors.checks import check_function
from qd_fluvio.processors.codecs import Codec
from qd_fluvio.processors.decorators import (
    Function,
    checked_key,
    checked_state,
    processor_of,
    result_codec,
)
from qd_fluvio.processors.durations import microseconds
from qd_fluvio.processors.errors import BadProcessor
from qd_fluvio.processors.processor import Processor
from qd_fluvio.processors.rows import RowsCodec
from qd_fluvio.processors.stages.aggregate import Aggregate, AggregateSpec
from qd_fluvio.processors.stages.dedup import COUNT_MAX, Deduplicate, DedupSpec
from qd_fluvio.processors.stages.window import RecordWindows
from qd_fluvio.processors.stages.window_rows import RowWindows
from qd_fluvio.processors.stages.windows import Window, WindowSpec
from qd_fluvio.processors.values import Stage

Decorator = Callable[[Function], Processor]


def aggregate(
    codec: Codec[Any] | RowsCodec,
    /,
    *,
    initial: Any,
    key: Callable[[Any], Hashable] | None = None,
    result: Callable[[Any, Any], Any] | None = None,
    out: Codec[Any] | None = None,
) -> Decorator:
    """Accumulate: the function makes of (accumulator, value) the new accumulator, which goes out.

    Parameters
    ----------
    codec : Codec or RowsCodec
        What the function gets; over arrays, the rows of one record at a time.
    initial : object
        Where an accumulator starts; plain values or numpy arrays.
    key : callable, optional
        A value's key: each key has an accumulator of its own.
    result : callable, optional
        (key, accumulator) to what goes out instead of the accumulator.
    out : Codec, optional
        Encodes results; JSON by default.

    Examples
    --------
    >>> from qd_fluvio.processors import JSON
    >>> @aggregate(JSON, initial=0)
    ... def total(sum, trade):
    ...     return sum + trade["volume"]
    >>> [record.value for record in total.run([b'{"volume": 5}', b'{"volume": 50}'])]
    [b'5', b'55']
    """
    checked_state(initial, "aggregate")
    checked_key(key, codec, "aggregate")
    encoder = result_codec(out, "aggregate")

    def make(function: Function) -> Processor:
        check_function(function, "aggregate", ("accumulator", "value"), codec)
        spec = AggregateSpec(codec, encoder, function, initial, key, result)
        return processor_of(function, "aggregate", lambda name: Aggregate(name, spec))

    return make


def deduplicate(
    codec: Codec[Any] | RowsCodec, /, *, count: int, age: str | None = None
) -> Decorator:
    """Drop records, or rows, whose key was among those that passed lately.

    Parameters
    ----------
    codec : Codec or RowsCodec
        What the function gets to give a key for; over arrays, a key for each row.
    count : int
        How many keys are remembered.
    age : str, optional
        For how long, such as ``10m``, by the times of the records.
    """
    if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= COUNT_MAX:
        raise BadProcessor(f"@deduplicate: count is {count!r}; expected 1 to {COUNT_MAX}")
    age_ms = None if age is None else microseconds(age, "@deduplicate: age") // 1000

    def make(function: Function) -> Processor:
        check_function(function, "deduplicate", ("value",), codec)
        spec = DedupSpec(codec, function, count, age_ms)
        return processor_of(function, "deduplicate", lambda name: Deduplicate(name, spec))

    return make


def window(
    codec: Codec[Any] | RowsCodec,
    /,
    *,
    every: str,
    initial: Any,
    lateness: str = "0s",
    time: Callable[[Any], int] | None = None,
    key: Callable[[Any], Hashable] | None = None,
    result: Callable[[Window], Any] | None = None,
    out: Codec[Any] | None = None,
) -> Decorator:
    """Tumbling windows by event time: the function makes of (accumulator, value) the new one.

    A window goes out once, when the watermark (the newest event time of the partition minus
    `lateness`) reaches its end. What comes later than that fails, to the dead letters.

    Parameters
    ----------
    codec : Codec or RowsCodec
        What the function gets; over arrays, all rows of one window that are at hand. It must
        then not matter how the rows of a window are cut.
    every : str
        The width, such as ``1m``; windows begin at its multiples since the epoch.
    initial : object
        Where an accumulator starts; plain values or numpy arrays.
    lateness : str
        How much older than the newest event a record may be.
    time : callable, optional
        A value's event time in microseconds since the epoch; by default the record's time,
        and of rows their column `time`.
    key : callable, optional
        A value's key: each key has windows of its own; not over arrays.
    result : callable, optional
        A `Window` to what goes out, instead of an object of start, end, key and value.
    out : Codec, optional
        Encodes results; JSON by default.
    """
    over_rows = isinstance(codec, RowsCodec)
    if over_rows and (time is not None or key is not None):
        raise BadProcessor("@window over arrays takes neither time nor key: rows have a time")
    for named in (time, key):
        checked_key(named, codec, "window")
    checked_state(initial, "window")
    width = microseconds(every, "@window: every")
    late = microseconds(lateness, "@window: lateness", least=0)
    encoder = result_codec(out, "window")

    def make(function: Function) -> Processor:
        check_function(function, "window", ("accumulator", "value"), codec)
        spec = WindowSpec(codec, encoder, function, initial, width, late, time, key, result)

        def open_stage(name: str) -> Stage:
            return RowWindows(name, spec) if over_rows else RecordWindows(name, spec)

        return processor_of(function, "window", open_stage)

    return make
