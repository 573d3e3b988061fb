"""Tumbling windows over single records."""

from __future__ import annotations

from collections.abc import Sequence

from qd_fluvio.processors.codecs import Codec
from qd_fluvio.processors.stages.windows import WindowSpec, WindowStage
from qd_fluvio.processors.values import Failure, Fed, Item, reason_of


class RecordWindows(WindowStage):
    """The open windows of one partition; see `Stage`."""

    def __init__(self, step: str, spec: WindowSpec) -> None:
        assert isinstance(spec.codec, Codec)
        super().__init__(step, spec)
        self._decode = spec.codec.decode

    def feed(self, items: Sequence[Item]) -> Fed:
        """See `Stage.feed`."""
        fed = Fed()
        for item in items:
            try:
                self._take(item)
            except Exception as error:
                fed.failures.append(Failure(item, self._step, reason_of(error)))
                continue
            for window in self._windows.take_over():
                self._give(window, item, fed)
        return fed

    def _take(self, item: Item) -> None:
        spec, windows = self._spec, self._windows
        value = self._decode(item)
        time = item.timestamp_ms * 1000 if spec.time is None else spec.time(value)
        if not isinstance(time, int) or isinstance(time, bool):
            raise TypeError(f"the event time is {time!r}; expected whole microseconds")
        start = windows.start_of(time)
        if windows.is_over(start):
            raise ValueError(
                f"late: its time {time} is before the watermark {windows.watermark} and its "
                "window was given out"
            )
        key = None if spec.key is None else spec.key(value)
        windows.put(start, key, spec.function(windows.current(start, key), value))
        windows.advance(time)
