"""Models by the names that users give: shipped ones, ``package.module:function``, or a file.

A model is named with its settings, such as ``volatility days=10 signals=both``. It imports
what it is told to, and nothing else.
"""

from __future__ import annotations

import functools
import hashlib
import inspect
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from qd_analytics.errors import AnalyticsError, BadModel
from qd_analytics.models.breakout import (
    daily_breakout,
    monthly_breakout,
    weekly_breakout,
    yearly_breakout,
)
from qd_analytics.models.protocol import LEVELS_MAX, MODEL_ID_MAX, StreamModel
from qd_analytics.models.signals import Alerting, Policy, Signals
from qd_analytics.models.volatility import volatility
from qd_fluvio.user_modules import load_module

SHIPPED: Final[Mapping[str, Callable[..., StreamModel]]] = {
    "monthly-breakout": monthly_breakout,
    "weekly-breakout": weekly_breakout,
    "daily-breakout": daily_breakout,
    "yearly-breakout": yearly_breakout,
    "volatility": volatility,
}
"""Each is a function whose parameters are the model's settings."""

DEFAULT: Final = "monthly-breakout"
ALERTING: Final = {"signals": Signals, "policy": Policy}
"""Settings that every model has: which of its answers raise an alert."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One setting of a model."""

    name: str
    type: Any
    default: Any

    @property
    def is_needed(self) -> bool:
        """Whether there is no default."""
        return self.default is inspect.Parameter.empty


@dataclass(frozen=True, slots=True)
class Found:
    """What a name stands for: who makes the model, and what can be set."""

    name: str
    make: Callable[..., Any]
    parameters: tuple[Parameter, ...]
    about: str


@dataclass(frozen=True, slots=True)
class Chosen:
    """A model, ready to run.

    Attributes
    ----------
    model : StreamModel
        The rules.
    alerting : Alerting
        Which answers raise an alert.
    settings : mapping
        What was set, as text.
    """

    model: StreamModel
    alerting: Alerting = field(default_factory=Alerting)
    settings: Mapping[str, str] = field(default_factory=dict)

    @property
    def fingerprint(self) -> str:
        """What a saved state must have been made with."""
        parts = (self.model.name, self.model.version, *sorted(self.settings.items()))
        return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


@functools.cache
def shipped_names() -> Mapping[int, tuple[str, tuple[str, ...]]]:
    """The models that come with the system, by id: their names, and what their levels are."""
    models = [make() for make in SHIPPED.values()]
    return {model.id: (model.name, model.level_names) for model in models}


def find(name: str) -> Found:
    """What a name stands for.

    Parameters
    ----------
    name : str
        A shipped model's, ``package.module:function``, or ``path/to/file.py:function``.

    Raises
    ------
    BadModel
        Says what was found instead.
    """
    if name in SHIPPED:
        return _found(name, SHIPPED[name])
    where, _, attribute = name.rpartition(":")
    if not where or not attribute:
        raise BadModel(
            f"no model is named {name!r}: expected one of {', '.join(SHIPPED)}, "
            "package.module:function, or file.py:function"
        )
    function = getattr(load_module(where, "qd_model", BadModel), attribute, None)
    if function is None or not callable(function):
        raise BadModel(f"{where} has no function {attribute!r} that makes a model")
    return _found(name, function)


def choose(name: str, settings: Sequence[str] = ()) -> Chosen:
    """A model with settings.

    Parameters
    ----------
    name : str
        See `find`.
    settings : sequence of str
        ``parameter=value``; every model also takes ``signals`` (rises, falls, both) and
        ``policy`` (rise, first, every).

    Raises
    ------
    BadModel
        The name or a setting is wrong, or what was made is no model.
    """
    found = find(name)
    texts: dict[str, str] = {}
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals or key in texts:
            raise BadModel(f"{name}: setting {setting!r}; expected each once, as parameter=value")
        texts[key] = text
    alerting = {key: _alerting(name, key, texts[key]) for key in ALERTING if key in texts}
    own = {key: text for key, text in texts.items() if key not in ALERTING}
    return Chosen(_made(found, _values(found, own)), Alerting(**alerting), own)


def choose_all(text: str) -> tuple[Chosen, ...]:
    """Several models, such as ``monthly-breakout signals=both; volatility days=10``.

    Raises
    ------
    BadModel
        One is wrong, or two have the same id.
    """
    chosen: dict[int, Chosen] = {}
    for part in text.split(";"):
        words = part.split()
        if not words:
            continue
        one = choose(words[0], words[1:])
        if (other := chosen.get(one.model.id)) is not None:
            raise BadModel(
                f"models {other.model.name!r} and {one.model.name!r} both have the id "
                f"{one.model.id}, so that their alerts could not be told apart; "
                "give each an id of its own"
            )
        chosen[one.model.id] = one
    if not chosen:
        raise BadModel(f"{text!r} names no model; expected one such as {DEFAULT}")
    return tuple(chosen.values())


def _found(name: str, function: Callable[..., Any]) -> Found:
    try:
        hints = typing.get_type_hints(function)
    except (NameError, TypeError):
        hints = {}
    parameters = tuple(
        Parameter(each.name, hints.get(each.name, str), each.default)
        for each in inspect.signature(function).parameters.values()
    )
    if clash := [each.name for each in parameters if each.name in ALERTING]:
        raise BadModel(f"{name} has a parameter {clash[0]!r}, which every model has; rename it")
    return Found(name, function, parameters, inspect.getdoc(function) or "")


def _values(found: Found, texts: Mapping[str, str]) -> dict[str, Any]:
    known = {each.name: each for each in found.parameters}
    for key in texts:
        if key not in known:
            there = ", ".join((*known, *ALERTING))
            raise BadModel(f"{found.name} has no setting {key!r}; there are {there}")
    for each in found.parameters:
        if each.is_needed and each.name not in texts:
            raise BadModel(f"{found.name} needs the setting {each.name}")
    return {key: _value(found.name, known[key], text) for key, text in texts.items()}


def _value(model: str, parameter: Parameter, text: str) -> Any:
    if parameter.type is bool and text in _TRUTHS:
        return _TRUTHS[text]
    if parameter.type not in (str, int, float):
        expected = "true or false" if parameter.type is bool else "a text, a whole number or number"
        raise BadModel(f"{model}: {parameter.name} is {text!r}; only {expected} can be set here")
    try:
        return parameter.type(text)
    except ValueError:
        raise BadModel(
            f"{model}: {parameter.name} is {text!r}; expected {parameter.type.__name__}"
        ) from None


_TRUTHS: Final = {"true": True, "false": False}


def _alerting(model: str, key: str, text: str) -> Any:
    kind = ALERTING[key]
    known = {member.value: member for member in kind}
    if text not in known:
        raise BadModel(f"{model}: {key} is {text!r}; expected one of {', '.join(known)}")
    return known[text]


def _made(found: Found, values: Mapping[str, Any]) -> StreamModel:
    try:
        model = found.make(**values)
    except AnalyticsError as error:
        raise BadModel(f"{found.name}: {error}") from None
    except Exception as error:
        raise BadModel(f"{found.name} cannot be made: {type(error).__name__}: {error}") from error
    if wrong := _wrong(model):
        raise BadModel(f"{found.name} gave {type(model).__name__}, {wrong}")
    return model  # type: ignore[no-any-return]  # as far as can be told


def _wrong(model: Any) -> str:
    """What is wrong with a model, if anything."""
    parts = ("id", "name", "version", "level_names", "market", "explain", "needs_from")
    if missing := [part for part in parts if not hasattr(model, part)]:
        return f"which is no model: it has no {', '.join(missing)}"
    if not isinstance(model.id, int) or not 0 < model.id <= MODEL_ID_MAX:
        return f"whose id is {model.id!r}; expected a number from 1 to {MODEL_ID_MAX}"
    if len(model.level_names) > LEVELS_MAX:
        return f"with {len(model.level_names)} levels; an alert has room for {LEVELS_MAX}"
    return ""
