"""States of processors as bytes and back: JSON that keeps Python's types apart.

No pickle: whoever can write to a topic could otherwise run code here.
"""

from __future__ import annotations

import base64
import copy
import json
from collections.abc import Callable
from typing import Any, Final

import numpy as np

from qd_fluvio.processors.errors import BadProcessor, StateUnusable

_ATOMS: Final = (type(None), bool, int, float, str)
_IMMUTABLE: Final = (*_ATOMS, bytes)


def encode(value: Any) -> bytes:
    """Write a value.

    Parameters
    ----------
    value : object
        None, bool, int, float, str, bytes, list, tuple, dict, numpy scalars (as plain
        numbers) and arrays without objects, in any nesting.

    Raises
    ------
    BadProcessor
        It holds something else.
    """
    return json.dumps(_tagged(value), separators=(",", ":"), ensure_ascii=False).encode()


def decode(data: bytes) -> Any:
    """Read what `encode` wrote.

    Raises
    ------
    StateUnusable
        The bytes are something else.
    """
    try:
        return _untagged(json.loads(data))
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise StateUnusable(
            f"{len(data)} bytes that are no state ({error}); delete the processor's state topic "
            "to begin anew"
        ) from None


def copied(value: Any) -> Any:
    """A value that a function may change without changing the state."""
    return value if type(value) in _IMMUTABLE else copy.deepcopy(value)


def _tagged(value: Any) -> Any:
    # Subclasses such as enums would come back as something else.
    if type(value) in _ATOMS:
        return value
    writer = _WRITERS.get(type(value))
    if writer is not None:
        return writer(value)
    if isinstance(value, np.generic) and value.dtype.names is None:
        return _tagged(value.item())
    raise BadProcessor(
        f"a state that holds {value!r} ({type(value).__name__}); expected None, bool, int, float, "
        "str, bytes, list, tuple, dict or numpy arrays, so that it survives a restart"
    )


def _array(value: np.ndarray[Any, Any]) -> Any:
    if value.dtype.hasobject:
        raise BadProcessor("a state with a numpy array of objects; expected numbers")
    data = base64.b64encode(np.ascontiguousarray(value).tobytes()).decode()
    return {"a": [_tagged(value.dtype.descr), list(value.shape), data]}


_WRITERS: Final[dict[type, Callable[[Any], Any]]] = {
    bytes: lambda value: {"b": base64.b64encode(value).decode()},
    list: lambda value: [_tagged(item) for item in value],
    tuple: lambda value: {"t": [_tagged(item) for item in value]},
    dict: lambda value: {"d": [[_tagged(k), _tagged(v)] for k, v in value.items()]},
    np.ndarray: _array,
}


def _untagged(value: Any) -> Any:
    if isinstance(value, list):
        return [_untagged(item) for item in value]
    if not isinstance(value, dict):
        return value
    ((tag, inner),) = value.items()
    return _READERS[tag](inner)


def _read_array(inner: Any) -> np.ndarray[Any, Any]:
    descr, shape, data = inner
    fields = _untagged(descr)
    dtype = np.dtype(fields if len(fields) > 1 or fields[0][0] else fields[0][1])
    return np.frombuffer(base64.b64decode(data), dtype).reshape(shape).copy()


_READERS: Final[dict[str, Callable[[Any], Any]]] = {
    "b": base64.b64decode,
    "t": lambda inner: tuple(_untagged(item) for item in inner),
    "d": lambda inner: {_untagged(key): _untagged(item) for key, item in inner},
    "a": _read_array,
}
