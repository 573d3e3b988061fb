"""Whether a function fits where it is used, told when a processor is made.

Only looks at signatures; never calls a user's function.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable
from typing import Any

from qd_fluvio.processors.codecs import BYTES, Codec
from qd_fluvio.processors.errors import BadProcessor
from qd_fluvio.processors.rows import RowsCodec

AnyCodec = Codec[Any] | RowsCodec


def codec_and_function(given: Any, kind: str) -> tuple[AnyCodec, Callable[..., Any] | None]:
    """What a decorator was given: a codec, or with nothing said the function itself."""
    if isinstance(given, Codec | RowsCodec):
        return given, None
    if inspect.isroutine(given):
        return BYTES, given
    raise BadProcessor(
        f"@{kind} was given {given!r}; expected a codec (BYTES, TEXT, JSON, SBE, RECORD, TRADES, "
        "BARS), or the function itself for bytes"
    )


def check_function(
    function: Any, kind: str, takes: tuple[str, ...], gets: AnyCodec, returns: type | None = None
) -> None:
    """Refuse a function that cannot work.

    Parameters
    ----------
    function : callable
        The user's.
    kind : str
        The decorator, for messages.
    takes : tuple of str
        What it is called with, in words; the last is the record's value or the rows.
    gets : Codec or RowsCodec
        Decides the last argument's type.
    returns : type, optional
        What it must be annotated to return, if it is annotated at all.

    Raises
    ------
    BadProcessor
        Says what is wrong with it.
    """
    name = getattr(function, "__name__", repr(function))
    if not callable(function):
        raise BadProcessor(f"@{kind} on {function!r}; expected a function of {_words(takes)}")
    if inspect.iscoroutinefunction(function):
        raise BadProcessor(f"@{kind} {name} is async; expected a plain function: it is pure")
    try:
        inspect.signature(function).bind(*takes)
    except (TypeError, ValueError):
        raise BadProcessor(
            f"@{kind} {name}{_signature(function)}; expected a function of {_words(takes)}"
        ) from None
    _check_types(function, f"@{kind} {name}", len(takes), gets, returns)


def _check_types(function: Any, who: str, count: int, gets: AnyCodec, returns: type | None) -> None:
    try:
        hints = typing.get_type_hints(function)
        names = list(inspect.signature(function).parameters)
    except (NameError, TypeError, AttributeError):  # names that exist for type checkers only
        return
    found = _plain(hints.get(names[count - 1])) if len(names) >= count else None
    if found is not None and not _fit(gets.type, found):
        raise BadProcessor(
            f"{who} takes {found.__name__}, but {gets.name} gives {gets.type.__name__}: "
            "change the annotation or the codec"
        )
    given = _plain(hints.get("return"))
    if returns is not None and given is not None and not issubclass(given, returns):
        raise BadProcessor(f"{who} returns {given.__name__}; expected {returns.__name__}")


def _fit(given: type, wanted: type) -> bool:
    """Whether a value of one type may be the other: a function may take one message only."""
    return given is object or issubclass(given, wanted) or issubclass(wanted, given)


def _plain(hint: Any) -> type | None:
    """A hint as a class, where it is as simple as that."""
    hint = typing.get_origin(hint) or hint
    return hint if isinstance(hint, type) and hint not in (object, Any) else None


def _signature(function: Any) -> str:
    try:
        return str(inspect.signature(function))
    except (TypeError, ValueError):
        return ""


def _words(takes: tuple[str, ...]) -> str:
    return f"{len(takes)} argument{'s' * (len(takes) > 1)} ({', '.join(takes)})"
