"""Every limit of the symbol master that is no setting, with its unit."""

from __future__ import annotations

from typing import Final

CHECK_SECONDS_MAX: Final = 2.0  # how long a health check waits for the database
HEALTH_SECONDS: Final = 1.0  # how old the answer to a health request may be
DRAIN_SECONDS_MAX: Final = 2.5  # how long calls may take to end when the service stops
CLOSE_SECONDS_MAX: Final = 1.0  # and their connections after that

REQUEST_SECONDS_MAX: Final = 10.0  # how long a caller may take to send its first request
SEND_SECONDS_MAX: Final = 60.0  # how long a client may leave a message unread
REQUEST_BYTES_MAX: Final = 1_048_576
WINDOW_BYTES: Final = 262_144  # what a client may send before it is read: by stream, by connection
IDLE_SECONDS_MAX: Final = 600.0  # a connection without calls for so long is closed

SYMBOL_CHARS_MAX: Final = 100  # of a symbol that is worth looking for
QUERIES_MAX: Final = 1_000  # of one bulk look-up
PAGE_SYMBOLS_MAX: Final = 10_000
SEARCH_SYMBOLS_DEFAULT: Final = 100
STEP_SYMBOLS: Final = 500  # symbols encoded before other calls have their turn; also of a change

HEARTBEAT_MS_DEFAULT: Final = 5_000
HEARTBEAT_MS_MIN: Final = 100
HEARTBEAT_MS_MAX: Final = 600_000
