"""One market of any length as a CSV in Kraken's layout, in time order, written in blocks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import csv

BLOCK_ROWS = 1_000_000
START_SECONDS = 1_380_000_000  # in 2013, when Kraken began
SAME_SECOND_SHARE = 0.6
"""How many trades share the second of the trade before, as orders that fill in parts do."""
GAP_SECONDS_MEAN = 8.0
"""Between two that do not: ten million trades a year, as many as Kraken's largest markets have."""
SAME_PRICE_SHARE = 0.6


def write_market(path: Path, rows: int, *, seed: int = 1) -> Path:
    """Write so many trades; the same seed gives the same bytes."""
    with path.open("wb") as file:
        for block in _blocks(rows, np.random.default_rng(seed)):
            csv.write_csv(block, file, csv.WriteOptions(include_header=False))
    return path


def _blocks(rows: int, random: np.random.Generator) -> Iterator[pa.RecordBatch]:
    time, price = START_SECONDS, 600.0
    for begin in range(0, rows, BLOCK_ROWS):
        count = min(BLOCK_ROWS, rows - begin)
        gaps = np.ceil(random.exponential(GAP_SECONDS_MEAN, count)).astype(np.int64)
        gaps[random.random(count) < SAME_SECOND_SHARE] = 0
        times = time + np.cumsum(gaps)
        moves = random.normal(0.0, 2e-4, count)
        moves[random.random(count) < SAME_PRICE_SHARE] = 0.0
        prices = np.round(price * np.exp(np.cumsum(moves)), 1)
        volumes = np.round(random.lognormal(-2.5, 1.5, count), 8) + 1e-8
        time, price = int(times[-1]), max(float(prices[-1]), 1.0)
        yield pa.record_batch(
            [times, np.maximum(prices, 0.1), volumes], ["time", "price", "volume"]
        )
