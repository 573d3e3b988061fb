"""Waits for words in the client's log."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterator


class Heard(logging.Handler):
    """Waits for words in the client's log."""

    def __init__(self, words: str) -> None:
        super().__init__()
        self._words = words
        self.event = asyncio.Event()

    def emit(self, record: logging.LogRecord) -> None:
        if self._words in record.getMessage():
            self.event.set()


@contextlib.contextmanager
def logged(words: str) -> Iterator[asyncio.Event]:
    """An event for when the client logs these words."""
    heard, log = Heard(words), logging.getLogger("qd_client")
    log.addHandler(heard)
    try:
        yield heard.event
    finally:
        log.removeHandler(heard)
