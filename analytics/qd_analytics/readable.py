"""A processor that makes alerts readable: JSON with names, for `qd process run`."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from qd_analytics.models.loading import choose_all, shipped_names
from qd_fluvio.processors import JSON, SBE, Processor, filter_map
from qd_schemas.enums import ExchangeId, Signal
from qd_schemas.messages import BreakoutAlert, Message

_FIRST_LEVELS = ("previous_open", "previous_high", "previous_close", "current_open")


def alerts_to_json(models: str = "") -> Processor:
    """Alerts as JSON objects, with names for what are numbers in messages.

    Parameters
    ----------
    models : str
        Models of one's own whose levels are to have their names, as in QD_MODELS.
    """
    known = dict(shipped_names())
    for chosen in choose_all(models) if models else ():
        known[chosen.model.id] = (chosen.model.name, chosen.model.level_names)

    @filter_map(SBE, out=JSON)
    def readable(message: Message) -> dict[str, Any] | None:
        """Alerts as JSON objects; other messages are left out."""
        if not isinstance(message, BreakoutAlert):
            return None
        return as_object(message, known)

    return readable


def as_object(
    alert: BreakoutAlert, names: dict[int, tuple[str, tuple[str, ...]]]
) -> dict[str, Any]:
    """An alert as a JSON object.

    Parameters
    ----------
    names : dict
        Of each known model, by id: its name and what its levels are called.
    """
    name, levels = names.get(alert.model_id, (str(int(alert.model_id)), _FIRST_LEVELS))
    values = [getattr(alert, field) for field in _FIRST_LEVELS]
    return {
        "time": f"{np.datetime64(alert.date_time, 'us')}Z",
        "exchange": _named(ExchangeId, alert.exchange_id),
        "symbol_id": int(alert.symbol_id),
        "sequence": alert.sequence,
        "model": name,
        "signal": _named(Signal, alert.signal),
        "price": alert.price,
        "levels": {
            level: value if math.isfinite(value) else None
            for level, value in zip(levels, values, strict=False)
        },
    }


def _named(kind: type[ExchangeId | Signal], value: int) -> str:
    """What a newer version sends is shown as its number."""
    try:
        return kind(value).name.lower()
    except ValueError:
        return str(int(value))
