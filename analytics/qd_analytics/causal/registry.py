"""Functions by name and version, so that saved models find their rules again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from qd_analytics.causal.errors import DuplicateFunction, UnknownFunction

F = TypeVar("F", bound=Callable[..., Any])


class Registry:
    """Functions by name and version."""

    def __init__(self) -> None:
        self._functions: dict[tuple[str, int], Callable[..., Any]] = {}
        self._names: dict[int, tuple[str, int]] = {}  # by identity: functions may not hash

    def register(self, function: F, name: str, version: int = 1) -> F:
        """Register a function; returns it.

        Raises
        ------
        DuplicateFunction
            If another function has this name and version.
        """
        key = (name, version)
        if self._functions.setdefault(key, function) is not function:
            raise DuplicateFunction(
                f"another function is registered as '{name}' version {version}; "
                "give this one a new version or another name"
            )
        self._names[id(function)] = key
        return function

    def name_of(self, function: Callable[..., Any]) -> tuple[str, int]:
        """The name and version of a function.

        Raises
        ------
        UnknownFunction
            If it is not registered.
        """
        key = self._names.get(id(function))
        if key is None:
            raise UnknownFunction(
                f"the function {getattr(function, '__qualname__', function)!r} is not registered; "
                "register it under a name to save what uses it"
            )
        return key

    def find(self, name: str, version: int) -> Callable[..., Any]:
        """The function of that name and version.

        Raises
        ------
        UnknownFunction
            If there is none; the message says which versions there are.
        """
        function = self._functions.get((name, version))
        if function is None:
            versions = sorted(v for known, v in self._functions if known == name)
            found = f"versions {versions}" if versions else "no version"
            raise UnknownFunction(
                f"no function is registered as '{name}' version {version} ({found} of it); "
                "import the module that registers it before you load"
            )
        return function


REGISTRY = Registry()
"""Where functions are registered, and looked up, unless another registry is given."""


def registered(name: str, version: int = 1, registry: Registry = REGISTRY) -> Callable[[F], F]:
    """Register the decorated function under a name."""

    def register(function: F) -> F:
        return registry.register(function, name, version)

    return register
