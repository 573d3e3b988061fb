"""Alerts with names for what are numbers in messages, and a processor that makes them JSON."""

from __future__ import annotations

import logging
import math
import os
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import numpy as np

from qd_analytics.models.loading import choose_all, shipped_names
from qd_client import SyncSymdbClient
from qd_client.local import SYMDB, symdb_surroundings
from qd_fluvio.processors import JSON, SBE, Processor, filter_map
from qd_schemas.enums import ExchangeId, Signal
from qd_schemas.errors import QdError
from qd_schemas.messages import BreakoutAlert, Message

SYMDB_SECONDS_MAX: Final = 2.0
"""How long the symbol master is waited for; nothing else goes on meanwhile."""
SYMDB_RETRY_SECONDS: Final = 10.0

ModelNames = Mapping[int, tuple[str, tuple[str, ...]]]
"""By id: a model's name, and what its levels are called."""

_LEVELS: Final = ("previous_open", "previous_high", "previous_close", "current_open")
_UNNAMED: Final = tuple(f"level {number}" for number in range(1, len(_LEVELS) + 1))

_log = logging.getLogger("qd_analytics")


def alerts_to_json(models: str = "", symdb: str = "") -> Processor:
    """Alerts as JSON objects, with names for what are numbers in messages.

    Parameters
    ----------
    models : str
        Models of one's own whose levels are to have their names, as in QD_MODELS.
    symdb : str
        ``host:port`` of the symbol master, which knows the markets' names; else QD_SYMDB, or the
        running stack's. While it does not answer, alerts have the symbol null, and its id.
    """
    known = dict(shipped_names())
    for chosen in choose_all(models) if models else ():
        known[chosen.model.id] = (chosen.model.name, chosen.model.level_names)
    markets = _Markets(symdb)

    @filter_map(SBE, out=JSON)
    def readable(message: Message) -> dict[str, Any] | None:
        """Alerts as JSON objects; other messages are left out."""
        if not isinstance(message, BreakoutAlert):
            return None
        return as_object(message, markets.of(message.exchange_id, message.symbol_id), known)

    return readable


def as_object(
    alert: BreakoutAlert, symbol: str | None, models: ModelNames | None = None
) -> dict[str, Any]:
    """An alert as a JSON object.

    Parameters
    ----------
    symbol : str or None
        The market's name.
    models : mapping, optional
        The models that are known; without it, those that come with the system.
    """
    known = shipped_names() if models is None else models
    name, levels = known.get(alert.model_id, (f"model {int(alert.model_id)}", _UNNAMED))
    return {
        "time": f"{np.datetime64(alert.date_time, 'us')}Z",
        "exchange": _named(ExchangeId, alert.exchange_id),
        "symbol": symbol,
        "symbol_id": int(alert.symbol_id),
        "sequence": alert.sequence,
        "model": name,
        "signal": _named(Signal, alert.signal),
        "price": alert.price,
        "levels": {
            level: value if math.isfinite(value) else None
            for level, value in zip(levels, levels_of(alert), strict=False)
        },
    }


def levels_of(alert: BreakoutAlert) -> tuple[float, ...]:
    """The levels that an alert carries, in the order of its model's `level_names`."""
    return tuple(getattr(alert, field) for field in _LEVELS)


class _Markets:
    """Names of markets by their ids, which the symbol master knows.

    Parameters
    ----------
    symdb : str
        Where it is; else where the surroundings say.
    """

    def __init__(self, symdb: str) -> None:
        self._env = {SYMDB: symdb} if symdb else {}
        self._known: dict[tuple[int, int], str | None] = {}
        self._not_before = 0.0

    def of(self, exchange_id: int, symbol_id: int) -> str | None:
        """A market's name; None where nobody can tell."""
        key = (int(exchange_id), int(symbol_id))
        if key not in self._known and time.monotonic() >= self._not_before:
            try:
                # A processor's functions are called from a coroutine, where none may wait.
                with ThreadPoolExecutor(1) as thread:
                    thread.submit(self._learn, key).result()
            except QdError as error:
                self._not_before = time.monotonic() + SYMDB_RETRY_SECONDS
                _log.warning("alerts go without their markets' names for now: %s", error)
        return self._known.get(key)

    def _learn(self, key: tuple[int, int]) -> None:
        where, tls = symdb_surroundings({**os.environ, **self._env})
        with SyncSymdbClient(
            where.host, where.port, deadline_s=SYMDB_SECONDS_MAX, tls=tls, cache_markets=0
        ) as symdb:
            for market in symdb.list_symbols(key[0]):
                self._known[(market.exchange_id, market.symbol_id)] = market.symbol
        self._known.setdefault(key, None)


def _named(kind: type[ExchangeId | Signal], value: int) -> str:
    """What a newer version sends is shown as its number."""
    try:
        return kind(value).name.lower()
    except ValueError:
        return str(int(value))
