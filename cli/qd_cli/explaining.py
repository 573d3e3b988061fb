"""``qd alerts explain``: why an alert was raised, from the alert itself and from its history."""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from qd_analytics.models.loading import SHIPPED, Chosen, choose
from qd_cli import console
from qd_cli.backtest_view import AlertTable
from qd_cli.blocking import Meter, run_blocking
from qd_cli.errors import RequestRefused
from qd_cli.history import History, stored_market
from qd_cli.symdb import known_market, symdb_client
from qd_client import MarketInfo, alerts
from qd_fluvio import connect
from qd_schemas.enums import ExchangeId
from qd_schemas.messages import BreakoutAlert
from qd_schemas.specs import FluvioSettings


@dataclass(frozen=True, slots=True)
class Question:
    """Which alert is asked about.

    Attributes
    ----------
    symbol, exchange, sequence
        The market and the trade.
    model : str or None
        The model's name; None asks about those of all shipped ones.
    settings : tuple of str
        The model's.
    """

    symbol: str
    exchange: ExchangeId
    sequence: int
    model: str | None
    settings: tuple[str, ...]

    def models(self) -> list[Chosen]:
        """The models that may have raised it."""
        if self.model is not None:
            return [choose(self.model, self.settings)]
        if self.settings:
            raise RequestRefused("--set is a setting of a model: give --model as well")
        return [choose(name) for name in SHIPPED]


async def show_why(
    cluster: FluvioSettings, symdb: str, dsn: str | None, question: Question, *, json: bool
) -> None:
    """Print why each alert of the trade was raised."""
    models = {chosen.model.id: chosen for chosen in question.models()}
    async with symdb_client(symdb) as names:
        market = await known_market(names, question.exchange, question.symbol)
    found = await _found(cluster, market, question)
    known = [alert for alert in found if alert.model_id in models]
    if not known:
        raise _no_alert(market, question, found)
    for alert in known:
        chosen = models[alert.model_id]
        again = None if dsn is None else await _again(dsn, question, chosen, alert)
        _print(
            AlertTable(market.symbol, question.exchange.name.lower(), chosen.model),
            alert,
            again,
            json,
        )


async def _found(
    cluster: FluvioSettings, market: MarketInfo, question: Question
) -> list[BreakoutAlert]:
    async with connect(cluster) as fluvio, aclosing(alerts(fluvio, follow=False)) as stream:
        return [
            alert
            async for alert in stream
            if (alert.exchange_id, alert.symbol_id, alert.sequence)
            == (market.exchange_id, market.symbol_id, question.sequence)
        ]


def _no_alert(
    market: MarketInfo, question: Question, others: list[BreakoutAlert]
) -> RequestRefused:
    told = f"{question.model or 'a shipped model'} raised no alert at trade {question.sequence}"
    ids = ", ".join(str(int(alert.model_id)) for alert in others)
    hint = (
        f"models with the ids {ids} did: give one with --model"
        if ids
        else f"`qd alerts --symbol {market.symbol}` lists those that there are"
    )
    return RequestRefused(f"{told} of {market.symbol}: {hint}")


async def _again(dsn: str, question: Question, chosen: Chosen, alert: BreakoutAlert) -> str:
    """The trade evaluated once more, over the context that its history makes."""
    market = await stored_market(dsn, question.exchange, question.symbol)
    begins = chosen.model.needs_from(alert.date_time)
    history = History(dsn, market, chosen, from_time=begins)

    def work(meter: Meter) -> str:
        for judged in history.judged(meter):
            at = question.sequence - int(judged.rows["sequence"][0])
            if 0 <= at < len(judged.rows):
                return judged.evaluation.explain(at)
        return f"trade {question.sequence} is not in the database"

    return await run_blocking("evaluating", work, hidden=False)


def _print(table: AlertTable, alert: BreakoutAlert, again: str | None, json: bool) -> None:
    whole = table.object(alert)
    words = table.model.explain(alert.price, list(whole["levels"].values()))
    if json:
        more: dict[str, Any] = {} if again is None else {"evaluated_again": again}
        console.print_json({**whole, "why": words, **more})
        return
    head = (
        f"{table.symbol} trade {alert.sequence} at {whole['time']}: {table.model.name} "
        f"{whole['signal']} at {console.number(alert.price)}"
    )
    console.out(f"{head}\n\nfrom the alert:\n{words}")
    if again is not None:
        console.out(f"\nfrom the trades before it:\n{again}")
