"""Reads how far the analytics service is with each market."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from qd_client.published import decoded
from qd_fluvio import Fluvio, Offset
from qd_schemas.enums import ExchangeId, ModelId
from qd_schemas.messages import ModelProgress
from qd_schemas.topics import PROGRESS


async def progress(fluvio: Fluvio) -> AsyncGenerator[ModelProgress, None]:
    """Read what has been said of all markets' progress, then what will be, for ever.

    Parameters
    ----------
    fluvio : Fluvio
        A connection to the cluster.

    Yields
    ------
    ModelProgress
        Every alert of the market's trades up to ``sequence`` was on the alerts topic when
        this was published.

    Raises
    ------
    TopicNotFound
        The analytics service has never run on this cluster.
    """
    consumer = await fluvio.consumer(PROGRESS, offset=Offset.beginning())
    try:
        async for message in decoded(aiter(consumer), ModelProgress, PROGRESS):
            yield message
    finally:
        await consumer.aclose()


async def until_evaluated(
    fluvio: Fluvio,
    symbol_id: int,
    sequence: int,
    *,
    exchange_id: int = ExchangeId.KRAKEN,
    model_id: int = ModelId.MONTHLY_BREAKOUT,
) -> None:
    """Wait until all alerts of a market's trades up to a sequence are published.

    Parameters
    ----------
    fluvio : Fluvio
        A connection to the cluster.
    symbol_id, exchange_id, model_id : int
        Which market and model.
    sequence : int
        The market's trade, counted from 1.

    Raises
    ------
    TopicNotFound
        The analytics service has never run on this cluster.
    """
    wanted = (symbol_id, exchange_id, model_id)
    async with aclosing(progress(fluvio)) as messages:
        async for said in messages:
            market = (said.symbol_id, said.exchange_id, said.model_id)
            if market == wanted and said.sequence >= sequence:
                return
