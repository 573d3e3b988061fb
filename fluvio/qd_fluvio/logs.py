"""What log lines of services look like: an event's text and its fields, for people or programs.

A service logs with fields through `FieldLogger`; both formats then have them. Which lines
there are is the services' business.
"""

from __future__ import annotations

import json
import logging
import math
import re
import sys
import time
from collections.abc import Mapping, MutableMapping
from typing import Any, Final, Self

from qd_schemas.specs import LogFormat, LogSettings

LOG_LINES_PER_SECOND_MAX: Final = 500
"""What a flood of requests may write; errors are always written."""
_FIELDS: Final = "qd_fields"
_OWN: Final = frozenset(("time", "level", "logger", "event", "traceback"))
_OF_LOGGING: Final = frozenset(("exc_info", "stack_info", "stacklevel", "extra"))
_PLAIN: Final = re.compile(r"[^\s\"'=]+")


class FieldLogger(logging.LoggerAdapter[logging.Logger]):
    """A logger whose lines have fields: ``log.info("ended", rows=5)``.

    Fields named `level` and `msg` are given to `bind` only: calls have these words already.

    Parameters
    ----------
    logger : logging.Logger
        Whose lines they are.
    fields : mapping, optional
        What every line of this one has.
    """

    def __init__(self, logger: logging.Logger, fields: Mapping[str, object] | None = None) -> None:
        super().__init__(logger, dict(fields or {}))

    def bind(self, **fields: object) -> Self:
        """A logger of the same lines with more fields, such as the client's id."""
        return type(self)(self.logger, {**(self.extra or {}), **fields})

    def process(
        self, msg: Any, kwargs: MutableMapping[str, Any]
    ) -> tuple[Any, MutableMapping[str, Any]]:
        """Take the fields out of a call's words."""
        passed = {name: value for name, value in kwargs.items() if name in _OF_LOGGING}
        given = {name: value for name, value in kwargs.items() if name not in _OF_LOGGING}
        fields = {**(self.extra or {}), **given}
        return msg, {**passed, "extra": {**passed.get("extra", {}), _FIELDS: fields}}


def field_logger(name: str, **fields: object) -> FieldLogger:
    """The logger of this name, with fields that all its lines have."""
    return FieldLogger(logging.getLogger(name), fields)


class TextFormatter(logging.Formatter):
    """One line an event: time, level, logger, text, fields; a traceback is folded into it."""

    converter = staticmethod(time.gmtime)

    def __init__(self) -> None:
        super().__init__(
            "%(asctime)s.%(msecs)03dZ %(levelname)s %(name)s %(message)s", "%Y-%m-%dT%H:%M:%S"
        )

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  (its name in logging)
        """The line without a traceback."""
        fields = _fields(record).items()
        words = [f"{name}={_as_word(value)}" for name, value in fields]
        return " ".join((super().formatMessage(record), *words))

    def format(self, record: logging.LogRecord) -> str:
        """The whole line."""
        return super().format(record).replace("\r", " ").replace("\n", " | ")


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, event, the fields, and a traceback if any."""

    def format(self, record: logging.LogRecord) -> str:
        """The whole line."""
        second = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        found: dict[str, object] = {
            "time": f"{second}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
        }
        for name, value in _fields(record).items():
            found[f"{name}_" if name in _OWN else name] = _as_json(value)
        if record.exc_info:
            found["traceback"] = self.formatException(record.exc_info)
        return json.dumps(found)


def _fields(record: logging.LogRecord) -> Mapping[str, object]:
    found: Mapping[str, object] = getattr(record, _FIELDS, {})
    return found


def _as_word(value: object) -> str:
    """A value as one word; text of several is quoted."""
    if isinstance(value, float):
        return f"{value:.6g}"
    text = str(value)
    return text if _PLAIN.fullmatch(text) else json.dumps(text)


def _as_json(value: object) -> object:
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    return str(value)


class FloodFilter(logging.Filter):
    """Leaves out what is over the limit of a second; the next line that passes says how much."""

    def __init__(self) -> None:
        super().__init__()
        self._second = 0
        self._lines = 0
        self._left_out = 0

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the line is written."""
        if int(record.created) != self._second:
            self._second, self._lines = int(record.created), 0
        if record.levelno < logging.ERROR and self._lines >= LOG_LINES_PER_SECOND_MAX:
            self._left_out += 1
            return False
        self._lines += 1
        if self._left_out:
            record.msg = f"{record.getMessage()} ({self._left_out} lines before it left out)"
            record.args = ()
            self._left_out = 0
        return True


def configure_logging(name: str, settings: LogSettings | None = None) -> FieldLogger:
    """Send log lines to standard error and return the service's logger.

    Parameters
    ----------
    name : str
        The service's name in log lines.
    settings : LogSettings, optional
        Which lines, and how; if not as by default.
    """
    chosen = settings or LogSettings()
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(FloodFilter())
    is_json = chosen.format is LogFormat.JSON
    handler.setFormatter(JsonFormatter() if is_json else TextFormatter())
    logging.basicConfig(level=chosen.level.name, handlers=[handler], force=True)
    return field_logger(name)
