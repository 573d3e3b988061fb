"""One setting: how it is named, what it may be, and who gets it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from qd_schemas.enums import ServiceId
from qd_schemas.settings.kinds import Kind

T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True)
class Setting(Generic[T_co]):
    """A setting.

    Attributes
    ----------
    name : str
        Its name in the environment.
    key : str
        Its name in the file: the table and the key, ``gateway.lease_ms``.
    kind : Kind
        What it may be.
    help : str
        What it is for, in a few words.
    services : tuple of ServiceId
        The services that get it; commands and programs of clients may read any.
    default : value, optional
        What it is where it is not set; None where that is nothing, or something else that
        `default_words` tells.
    default_words : str
        The default for people, where it is no plain value.
    is_required : bool
        Whether the services that get it cannot start without it, or its `rival`.
    is_secret : bool
        Whether it is never shown.
    rival : str
        The name of the setting that says the same in another way; only one may be set.
    """

    name: str
    key: str
    kind: Kind[T_co]
    help: str
    services: tuple[ServiceId, ...] = ()
    default: T_co | None = None
    default_words: str = ""
    is_required: bool = False
    is_secret: bool = False
    rival: str = ""

    @property
    def usual(self) -> T_co:
        """The default of a setting that has a plain one."""
        if self.default is None:
            raise AttributeError(f"{self.name} has no plain default")
        return self.default

    @property
    def table(self) -> str:
        """The file's table that holds it."""
        return self.key.partition(".")[0]

    @property
    def leaf(self) -> str:
        """Its key within that table."""
        return self.key.partition(".")[2]
