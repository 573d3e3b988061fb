"""Steps without a state over one record at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from qd_fluvio.processors.codecs import Codec
from qd_fluvio.processors.stages.making import checked_topic, made, truth
from qd_fluvio.processors.values import Failure, Fed, Item, Out, Stateless, reason_of

Apply = Callable[[Item], Iterable[Item]]
Function = Callable[..., Any]


class Each(Stateless):
    """Applies a function to each item by itself.

    Parameters
    ----------
    step : str
        The step's name.
    apply : callable
        Gives what becomes of an item; what it raises fails that item.
    """

    def __init__(self, step: str, apply: Apply) -> None:
        self._step = step
        self._apply = apply

    def feed(self, items: Sequence[Item]) -> Fed:
        """See `Stage.feed`."""
        fed = Fed()
        for item in items:
            try:
                fed.items += list(self._apply(item))
            except Exception as error:
                fed.failures.append(Failure(item, self._step, reason_of(error)))
        return fed


def filtering(codec: Codec[Any], function: Function) -> Apply:
    """Keep the item where the function says True."""
    what = function.__name__
    return lambda item: (item,) if truth(function(codec.decode(item)), what) else ()


def mapping(codec: Codec[Any], out: Codec[Any], function: Function) -> Apply:
    """One result an item; a key stays."""
    return lambda item: (made(item, function(codec.decode(item)), out, item.key),)


def filter_mapping(codec: Codec[Any], out: Codec[Any], function: Function) -> Apply:
    """One result an item, or none where the function says None."""

    def apply(item: Item) -> Iterable[Item]:
        value = function(codec.decode(item))
        return () if value is None else (made(item, value, out, item.key),)

    return apply


def array_mapping(codec: Codec[Any], out: Codec[Any], function: Function) -> Apply:
    """Any number of results an item."""

    def apply(item: Item) -> Iterable[Item]:
        values = function(codec.decode(item))
        if isinstance(values, str | bytes | dict | Out) or not isinstance(values, Iterable):
            raise TypeError(
                f"{function.__name__} returned {type(values).__name__}; expected a list of results"
            )
        return [made(item, value, out) for value in values]

    return apply


def dispatching(codec: Codec[Any], function: Function) -> Apply:
    """The item as it is, to the topics that the function names; None is the default one."""

    def apply(item: Item) -> Iterable[Item]:
        found = function(codec.decode(item))
        names = found if isinstance(found, list | tuple) else [found]
        return [
            item if name is None else item._replace(topic=checked_topic(name)) for name in names
        ]

    return apply
