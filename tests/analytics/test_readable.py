"""Alerts as JSON, where the symbol master does not answer, and of models that nobody knows."""

from __future__ import annotations

import json
import logging

import pytest

from qd_analytics.readable import alerts_to_json
from qd_schemas.codec import encode
from qd_schemas.messages import ModelProgress
from support.judged import in_arrays
from support.models import walk

MODEL = ("support.models:above_mean", "count=9")
ALERTS = in_arrays(walk(1, 300), *MODEL).alerts
RECORDS = [encode(alert) for alert in ALERTS]


def read(models: str) -> list[dict[str, object]]:
    processor = alerts_to_json(models, symdb="127.0.0.1:1")
    return [json.loads(record.value) for record in processor.run(RECORDS)]


def test_without_the_symbol_master(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "qd_analytics"):
        found = read(" ".join(MODEL))
    assert len(found) == len(ALERTS) > 10
    first, alert = found[0], ALERTS[0]
    assert (first["exchange"], first["symbol"], first["symbol_id"]) == ("kraken", None, 7)
    assert (first["model"], first["levels"]) == ("above-mean", {"mean": alert.previous_open})
    assert [record.message[:44] for record in caplog.records] == [
        "alerts go without their markets' names for n"
    ], "said once, and not asked again at once"


def test_levels_of_an_unknown_model_have_numbers() -> None:
    first = read("")[0]
    assert first["model"] == "model 1234"
    assert first["levels"] == {
        "level 1": ALERTS[0].previous_open,
        **dict.fromkeys(("level 2", "level 3", "level 4")),
    }


def test_other_messages_are_left_out() -> None:
    progress = encode(ModelProgress(symbol_id=1, exchange_id=1, model_id=1, sequence=1))
    assert alerts_to_json(symdb="127.0.0.1:1").run([progress]) == []
