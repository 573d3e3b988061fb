"""Models by name and settings: what is chosen, and what each mistake is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from qd_analytics.errors import BadModel
from qd_analytics.models import choose, choose_all
from qd_analytics.models.loading import SHIPPED, find
from qd_analytics.models.signals import Alerting, Policy, Signals

MINE = """
from qd_analytics import FromContext, Model, Period, PeriodModel, rule

CLOSE = FromContext(Period.DAY.previous, "close")

@rule
def up(price, close=CLOSE):
    "above yesterday's close"
    return price > close

def mine(identity: int = 2000, name: str = "mine", loud: bool = False) -> PeriodModel:
    "My model."
    return PeriodModel(name, Model(identity, up), Period.DAY, (CLOSE,))

def not_a_model():
    return 5

def broken():
    raise OSError("no such device")

def needs(amount: float) -> PeriodModel:
    return mine()

def odd(values: list) -> PeriodModel:
    return mine()

def clash(policy: str) -> PeriodModel:
    return mine()

def reads_too_much():
    return PeriodModel("x", Model(2000, rule(lambda bid: bid > 1)), Period.DAY)

def wrong_period():
    return PeriodModel("x", Model(2000, up), Period.WEEK)

def misspelt():
    close = FromContext(Period.DAY.previous, "closed")
    return PeriodModel("x", Model(2000, rule(lambda price, close=close: price > close)), Period.DAY)

def look_ahead():
    high = FromContext(Period.MONTH.current, "high")
    return PeriodModel("x", Model(2000, up), Period.DAY, (high,))

def wrong_id():
    return mine(65_535)
"""


@pytest.fixture
def mine(tmp_path: Path) -> str:
    path = tmp_path / "mine.py"
    path.write_text(MINE)
    return str(path)


@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_model_can_be_chosen(name: str) -> None:
    chosen = choose(name)
    assert chosen.model.name == name
    assert find(name).about
    assert chosen.alerting == Alerting(Signals.RISES, Policy.RISE)


def test_shipped_ids_differ_and_are_below_users() -> None:
    ids = [choose(name).model.id for name in SHIPPED]
    assert len(set(ids)) == len(ids)
    assert max(ids) < 1_000


def test_a_model_of_a_file_with_settings(mine: str) -> None:
    chosen = choose(f"{mine}:mine", ["identity=2001", "name=other", "loud=true", "policy=first"])
    assert (chosen.model.id, chosen.model.name) == (2001, "other")
    assert chosen.alerting.policy is Policy.FIRST
    assert dict(chosen.settings) == {"identity": "2001", "name": "other", "loud": "true"}


def test_settings_tell_saved_states_apart_but_not_what_is_alerted(mine: str) -> None:
    plain, loud = choose(f"{mine}:mine"), choose(f"{mine}:mine", ["loud=true"])
    assert plain.fingerprint != loud.fingerprint
    assert plain.fingerprint == choose(f"{mine}:mine", ["signals=both"]).fingerprint


def test_several_models_of_one_text(mine: str) -> None:
    text = f"monthly-breakout signals=both; volatility days=9 policy=every;; {mine}:mine"
    first, second, third = choose_all(text)
    assert (first.model.name, first.alerting.signals) == ("monthly-breakout", Signals.BOTH)
    assert (second.alerting.policy, dict(second.settings)) == (Policy.EVERY, {"days": "9"})
    assert third.model.id == 2000


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("weekly", [], "no model is named 'weekly': expected one of monthly-breakout"),
        ("nothing.here:model", [], "nothing.here cannot be imported"),
        ("none.py:model", [], "there is no file none.py"),
        ("MINE:nobody", [], "has no function 'nobody'"),
        ("MINE:not_a_model", [], "gave int, which is no model: it has no id, name"),
        ("MINE:broken", [], "cannot be made: OSError: no such device"),
        ("MINE:needs", [], "needs the setting amount"),
        ("MINE:needs", ["amount=much"], "amount is 'much'; expected float"),
        ("MINE:mine", ["identity"], "expected each once, as parameter=value"),
        ("MINE:mine", ["identity=1", "identity=2"], "expected each once"),
        ("MINE:mine", ["size=1"], "has no setting 'size'; there are identity, name, loud"),
        ("MINE:mine", ["loud=maybe"], "loud is 'maybe'; only true or false"),
        ("MINE:mine", ["policy=never"], "policy is 'never'; expected one of rise, first, every"),
        ("MINE:odd", ["values=1"], "values is '1'; only"),
        ("MINE:clash", [], "has a parameter 'policy', which every model has"),
        ("MINE:reads_too_much", [], "reads 'bid'; of a trade there are price and volume"),
        ("MINE:wrong_period", [], "its context, which rolls by the week, has current week"),
        ("MINE:misspelt", [], "'previous day closed', which there is never; that has open, high"),
        ("MINE:look_ahead", [], "'current month high', which there is never; that has open"),
        ("MINE:wrong_id", [], "has the id 65535; expected 1 to 65534"),
        ("volatility", ["days=3"], "calm_days is 5 and days is 3"),
        ("volatility", ["times=nan"], "times is nan"),
    ],
)
def test_mistakes_are_told(name: str, settings: list[str], message: str, mine: str) -> None:
    with pytest.raises(BadModel) as caught:
        choose(name.replace("MINE", mine), settings)
    assert message in str(caught.value)


def test_a_module_that_cannot_be_imported_says_why(tmp_path: Path) -> None:
    path = tmp_path / "bad.py"
    path.write_text("1 / 0")
    with pytest.raises(BadModel, match="cannot be imported: ZeroDivisionError"):
        choose(f"{path}:model")


def test_a_graph_that_is_wrong_says_why(tmp_path: Path) -> None:
    path = tmp_path / "circle.py"
    path.write_text("from qd_analytics import build\nbuild('x', 'a -> b -> a', [])\n")
    with pytest.raises(BadModel, match=r"circle.py: "):
        choose(f"{path}:model")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("volatility; volatility days=9", "both have the id 5"),
        (" ; ", "names no model"),
    ],
)
def test_models_must_be_told_apart(text: str, message: str) -> None:
    with pytest.raises(BadModel, match=message):
        choose_all(text)
