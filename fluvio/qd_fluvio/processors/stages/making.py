"""Items out of what functions gave."""

from __future__ import annotations

import re
from typing import Any, Final

import numpy as np

from qd_fluvio.limits import TOPIC_NAME_BYTES_MAX
from qd_fluvio.processors.codecs import Codec
from qd_fluvio.processors.values import Item, Out

_TOPIC: Final = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")


def made(cause: Item, value: Any, codec: Codec[Any], key: bytes | None = None) -> Item:
    """The item that a function's result becomes.

    Parameters
    ----------
    cause : Item
        What it came of: gives origin and time, and the topic where the result names none.
    value : object
        The result, or an `Out` of it.
    codec : Codec
        Encodes the result.
    key : bytes, optional
        The key where the result is no `Out`.
    """
    if not isinstance(value, Out):
        return Item(cause.origin, cause.timestamp_ms, key, codec.encode(value), cause.topic)
    if value.key is not None and not isinstance(value.key, bytes):
        raise TypeError(f"Out.key is {value.key!r}; expected bytes or None")
    topic = cause.topic if value.topic is None else checked_topic(value.topic)
    return Item(cause.origin, cause.timestamp_ms, value.key, codec.encode(value.value), topic)


def checked_topic(name: object) -> str:
    """A topic's name that Fluvio will take.

    Raises
    ------
    ValueError
        It would not.
    """
    if isinstance(name, str) and _TOPIC.fullmatch(name) and len(name) <= TOPIC_NAME_BYTES_MAX:
        return name
    raise ValueError(
        f"topic {name!r}; expected at most {TOPIC_NAME_BYTES_MAX} of a-z, 0-9 and hyphens, "
        "none of these first or last"
    )


def truth(value: object, what: str) -> bool:
    """A yes or no, and nothing that only looks like one."""
    if isinstance(value, bool | np.bool_):
        return bool(value)
    raise TypeError(f"{what} returned {value!r} ({type(value).__name__}); expected True or False")
