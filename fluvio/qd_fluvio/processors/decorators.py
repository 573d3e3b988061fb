"""The decorators: a plain function becomes a processor.

Each takes a codec, which decides what the function gets: with `BYTES`, `TEXT`, `JSON`, `SBE`
or `RECORD` one record, with `TRADES` or `BARS` an array of a batch's rows.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from functools import partial
from typing import Any, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

from qd_fluvio.processors import plain
from qd_fluvio.processors.checks import AnyCodec, check_function, codec_and_function
from qd_fluvio.processors.codecs import JSON, Codec
from qd_fluvio.processors.errors import BadProcessor
from qd_fluvio.processors.processor import Processor, Step
from qd_fluvio.processors.rows import RowsCodec
from qd_fluvio.processors.stages import arrays, each
from qd_fluvio.processors.values import Stage
from qd_schemas.arrays import Rows

T = TypeVar("T")
Function = Callable[..., Any]
Mask = NDArray[np.bool_]
Decorator = Callable[[Function], Processor]


def processor_of(function: Function, kind: str, open_stage: Callable[[str], Stage]) -> Processor:
    """A processor of one step, named and described as its function is."""
    name = function.__name__
    about = (function.__doc__ or "").strip().partition("\n")[0]
    return Processor(name, about, (Step(name, kind, partial(open_stage, name)),), function)


def single(codec: AnyCodec, kind: str) -> Codec[Any]:
    """A codec of single records, or an error that says so."""
    if isinstance(codec, Codec):
        return codec
    raise BadProcessor(f"@{kind} cannot give {codec!r} here; expected BYTES, TEXT, JSON or SBE")


def _decorated(
    given: Any, kind: str, make: Callable[[AnyCodec, Function], Processor]
) -> Processor | Decorator:
    codec, function = codec_and_function(given, kind)
    return partial(make, codec) if function is None else make(codec, function)


@overload
def filter(given: Codec[T], /) -> Callable[[Callable[[T], bool]], Processor]: ...
@overload
def filter(given: RowsCodec, /) -> Callable[[Callable[[Rows], Mask]], Processor]: ...
@overload
def filter(given: Callable[[bytes], bool], /) -> Processor: ...
def filter(given: Any, /) -> Any:
    """Keep records, or rows, for which the function says True.

    Over arrays the function gives a mask; a record none of whose rows remain is dropped, one
    of which all remain passes as it is.

    Examples
    --------
    >>> @filter(JSON)
    ... def large(trade):
    ...     return trade["volume"] > 10
    >>> [record.value for record in large.run([b'{"volume": 5}', b'{"volume": 50}'])]
    [b'{"volume": 50}']
    """
    return _decorated(given, "filter", _filter)


def _filter(codec: AnyCodec, function: Function) -> Processor:
    if isinstance(codec, RowsCodec):
        check_function(function, "filter", ("rows",), codec)
        apply = arrays.filtering(codec, function)
        return processor_of(function, "filter", lambda name: arrays.OverRows(name, codec, apply))
    check_function(function, "filter", ("value",), codec, bool)
    one = each.filtering(codec, function)
    return processor_of(function, "filter", lambda name: each.Each(name, one))


@overload
def map(
    given: Codec[T], /, *, out: Codec[Any] | None = None
) -> Callable[[Callable[[T], Any]], Processor]: ...
@overload
def map(
    given: RowsCodec, /, *, out: RowsCodec | Codec[Any] | None = None
) -> Callable[[Callable[[Rows], Any]], Processor]: ...
@overload
def map(given: Callable[[bytes], Any], /) -> Processor: ...
def map(given: Any, /, *, out: AnyCodec | None = None) -> Any:
    """One result for each record, or one row for each row; `out` encodes it if not the codec.

    A record's key stays, unless the function gives an `Out`.
    """
    return _decorated(given, "map", partial(_map, out, "map"))


@overload
def filter_map(
    given: Codec[T], /, *, out: Codec[Any] | None = None
) -> Callable[[Callable[[T], Any]], Processor]: ...
@overload
def filter_map(
    given: RowsCodec, /, *, out: RowsCodec | Codec[Any] | None = None
) -> Callable[[Callable[[Rows], tuple[Any, Any]]], Processor]: ...
@overload
def filter_map(given: Callable[[bytes], Any], /) -> Processor: ...
def filter_map(given: Any, /, *, out: AnyCodec | None = None) -> Any:
    """A result for each record, or None for none.

    Over arrays the function gives (results, index of the row that each came of).
    """
    return _decorated(given, "filter_map", partial(_map, out, "filter_map"))


@overload
def array_map(
    given: Codec[T], /, *, out: Codec[Any] | None = None
) -> Callable[[Callable[[T], Iterable[Any]]], Processor]: ...
@overload
def array_map(
    given: RowsCodec, /, *, out: RowsCodec | Codec[Any] | None = None
) -> Callable[[Callable[[Rows], tuple[Any, Any]]], Processor]: ...
@overload
def array_map(given: Callable[[bytes], Iterable[Any]], /) -> Processor: ...
def array_map(given: Any, /, *, out: AnyCodec | None = None) -> Any:
    """Any number of results for each record (also known as flat map).

    Over arrays the function gives (results, index of the row that each came of), in order.
    """
    return _decorated(given, "array_map", partial(_map, out, "array_map"))


flat_map = array_map

_RECORD_MAPS = {
    "map": each.mapping,
    "filter_map": each.filter_mapping,
    "array_map": each.array_mapping,
}


def _map(out: AnyCodec | None, kind: str, codec: AnyCodec, function: Function) -> Processor:
    out = codec if out is None else out
    if isinstance(codec, RowsCodec):
        check_function(function, kind, ("rows",), codec)
        apply = (
            arrays.mapping(codec, out, function)
            if kind == "map"
            else arrays.array_mapping(codec, out, function, once=kind == "filter_map")
        )
        return processor_of(function, kind, lambda name: arrays.OverRows(name, codec, apply))
    check_function(function, kind, ("value",), codec)
    one = _RECORD_MAPS[kind](codec, single(out, kind), function)
    return processor_of(function, kind, lambda name: each.Each(name, one))


@overload
def dispatch(
    given: Codec[T], /
) -> Callable[[Callable[[T], str | list[str] | None]], Processor]: ...
@overload
def dispatch(given: RowsCodec, /) -> Callable[[Callable[[Rows], NDArray[np.str_]]], Processor]: ...
@overload
def dispatch(given: Callable[[bytes], str | list[str] | None], /) -> Processor: ...
def dispatch(given: Any, /) -> Any:
    """Records as they are, each to the topic (or topics) that the function names.

    None is the topic that the processor writes by default. Over arrays the function gives a
    name for each row; rows go to their topics in records of their own.
    """
    return _decorated(given, "dispatch", _dispatch)


def _dispatch(codec: AnyCodec, function: Function) -> Processor:
    if isinstance(codec, RowsCodec):
        check_function(function, "dispatch", ("rows",), codec)
        apply = arrays.dispatching(codec, function)
        return processor_of(function, "dispatch", lambda name: arrays.OverRows(name, codec, apply))
    check_function(function, "dispatch", ("value",), codec)
    one = each.dispatching(codec, function)
    return processor_of(function, "dispatch", lambda name: each.Each(name, one))


def checked_state(initial: Any, kind: str) -> Any:
    """An initial value that can be kept."""
    try:
        plain.encode(initial)
    except BadProcessor as error:
        raise BadProcessor(f"@{kind}: initial: {error}") from None
    return initial


def checked_key(key: Callable[[Any], Hashable] | None, codec: AnyCodec, kind: str) -> None:
    """A key that is a function of one value, if there is one."""
    if key is not None:
        check_function(key, f"{kind} key", ("value",), codec)


def result_codec(out: Codec[Any] | None, kind: str) -> Codec[Any]:
    """How results of steps with a state are encoded: as JSON, if nothing else is said."""
    return JSON if out is None else single(out, kind)
