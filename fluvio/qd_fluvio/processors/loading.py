"""Processors by the names that users give: shipped ones, ``module:name``, or a file.

It imports what it is told to, and nothing else.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from qd_fluvio.processors.errors import BadProcessor
from qd_fluvio.processors.processor import Processor, chain
from qd_fluvio.processors.shipped import SHIPPED
from qd_fluvio.user_modules import is_file, load_module

_READERS: Mapping[type, Callable[[str], Any]] = {str: str, int: int, float: float}


@dataclass(frozen=True, slots=True)
class Parameter:
    """One setting of a processor."""

    name: str
    type: type
    default: Any

    @property
    def is_needed(self) -> bool:
        """Whether there is no default."""
        return self.default is inspect.Parameter.empty


@dataclass(frozen=True, slots=True)
class Found:
    """What a name stands for.

    Attributes
    ----------
    name : str
        As it was given.
    make : callable
        Gives the processor; takes the parameters by name.
    parameters : tuple of Parameter
        Empty where the name stands for a processor as it is.
    about : str
        What its author says.
    """

    name: str
    make: Callable[..., Processor]
    parameters: tuple[Parameter, ...]
    about: str


def find(name: str) -> Found:
    """What a name stands for.

    Parameters
    ----------
    name : str
        A shipped processor's; ``package.module:name``; ``path/to/file.py:name``; without a name
        the only one there.

    Raises
    ------
    BadProcessor
        Says what was found instead.
    """
    if name in SHIPPED:
        return _found(name, SHIPPED[name])
    where, _, attribute = name.partition(":")
    if not attribute and not is_file(where):
        raise BadProcessor(
            f"no processor is named {name!r}: expected one of {', '.join(SHIPPED)}, "
            "package.module:name, or file.py:name"
        )
    module = load_module(where, "qd_processor", BadProcessor)
    return _found(name, _attribute(module, where, attribute))


def _attribute(module: ModuleType, where: str, attribute: str) -> Any:
    there = {key: item for key, item in vars(module).items() if isinstance(item, Processor)}
    said = f"the processors there are {', '.join(there)}" if there else "it has no processors"
    if not attribute:
        if len(there) != 1:
            raise BadProcessor(f"{where}: {said}: give one as {where}:name")
        return next(iter(there.values()))
    found = getattr(module, attribute, None)
    if found is None:
        raise BadProcessor(f"{where} has no {attribute!r}: {said}")
    if isinstance(found, Processor) or _is_maker(found):
        return found
    raise BadProcessor(
        f"{where}:{attribute} is {type(found).__name__}; expected a processor, or a function "
        f"annotated to return one: {said}"
    )


def _is_maker(found: Any) -> bool:
    if not inspect.isfunction(found):
        return False
    return _hints(found).get("return") is Processor


def _hints(function: Any) -> dict[str, Any]:
    try:
        return typing.get_type_hints(function)
    except (NameError, TypeError):
        return {}


def _found(name: str, found: Any) -> Found:
    if isinstance(found, Processor):
        steps = ", then ".join(f"{step.name} ({step.kind})" for step in found.steps)
        about = found.about or steps
        return Found(name, lambda: found, (), about)
    hints = _hints(found)
    parameters = tuple(
        Parameter(each.name, hints.get(each.name, str), each.default)
        for each in inspect.signature(found).parameters.values()
    )
    return Found(name, found, parameters, inspect.getdoc(found) or "")


def build(names: Sequence[str], settings: Sequence[str] = ()) -> Processor:
    """The processor, or the chain of several, with settings.

    Parameters
    ----------
    names : sequence of str
        See `find`; several are a chain.
    settings : sequence of str
        ``parameter=value``, or ``name.parameter=value`` where several have such a parameter.

    Raises
    ------
    BadProcessor
        A name or a setting is wrong.
    """
    found = [find(name) for name in names]
    values: list[dict[str, Any]] = [{} for _ in found]
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals:
            raise BadProcessor(f"--set {setting!r}; expected parameter=value")
        owner, parameter = _owner(found, key)
        values[owner][parameter.name] = _value(parameter, text)
    made = [each.make(**given) for each, given in zip(found, _complete(found, values), strict=True)]
    return chain(*made)


def _owner(found: Sequence[Found], key: str) -> tuple[int, Parameter]:
    name, _, last = key.rpartition(".")
    fitting = [
        (number, parameter)
        for number, each in enumerate(found)
        for parameter in each.parameters
        if parameter.name == last and name in ("", each.name)
    ]
    if len(fitting) == 1:
        return fitting[0]
    there = [f"{each.name}.{p.name}" for each in found for p in each.parameters]
    raise BadProcessor(
        f"--set {key}: {len(fitting) or 'no'} processors have it; there "
        + (f"are {', '.join(there)}" if there else "is nothing to set")
    )


def _value(parameter: Parameter, text: str) -> Any:
    reader = _READERS.get(parameter.type)
    if reader is None:
        raise BadProcessor(
            f"{parameter.name} is a {parameter.type}; only str, int and float can be set here"
        )
    try:
        return reader(text)
    except ValueError:
        raise BadProcessor(
            f"{parameter.name} is {text!r}; expected {parameter.type.__name__}"
        ) from None


def _complete(found: Sequence[Found], values: Sequence[dict[str, Any]]) -> Sequence[dict[str, Any]]:
    for each, given in zip(found, values, strict=True):
        for parameter in each.parameters:
            if parameter.is_needed and parameter.name not in given:
                raise BadProcessor(f"{each.name} needs --set {parameter.name}=…")
    return values
