"""The gateway's metrics: each thing that happens moves its own number, and no other."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from qd_gateway.core.actions import EndCause, IgnoreReason
from qd_gateway.metrics import ControlResult, GatewayMetrics, Rows
from qd_schemas.enums import DataErrorType, Reason

Act = Callable[[GatewayMetrics], object]
CASES: list[tuple[Act, dict[str, float]]] = [
    (lambda m: m.sessions(3), {"sessions": 3}),
    (lambda m: m.logged_in(2), {'logins_total{version="2"}': 1}),
    (
        lambda m: m.session_ended(EndCause.LEASE_EXPIRED),
        {'session_ends_total{cause="lease_expired"}': 1},
    ),
    (lambda m: m.restored(4), {"sessions_restored_total": 4}),
    (
        lambda m: m.refused(DataErrorType.CHANNEL_FAILED, Reason.DATABASE_DOWN),
        {'refusals_total{reason="database_down",type="channel_failed"}': 1},
    ),
    (lambda m: m.replies_waiting(5), {"replies_waiting": 5}),
    (lambda m: m.reply_dropped(), {"replies_dropped_total": 1}),
    (lambda m: m.streams(2, 7), {"streams_running": 2, "streams_waiting": 7}),
    (lambda m: m.stream_ended("complete"), {'stream_ends_total{outcome="complete"}': 1}),
    (
        lambda m: m.sent(Rows.TRADES, 100, 2, 3_400),
        {
            'rows_sent_total{kind="trades"}': 100,
            'records_sent_total{kind="trades"}': 2,
            'bytes_sent_total{kind="trades"}': 3_400,
        },
    ),
    (lambda m: m.first_row(0.5), {"first_row_seconds_count": 1, "first_row_seconds_sum": 0.5}),
    (lambda m: m.piece_read(0.5), {"piece_read_seconds_count": 1, "piece_read_seconds_sum": 0.5}),
    (lambda m: m.frame_sent(0.5), {"frame_sent_seconds_count": 1, "frame_sent_seconds_sum": 0.5}),
    (
        lambda m: m.control(ControlResult.OTHERS, 6),
        {'control_records_total{result="others"}': 6},
    ),
    (
        lambda m: m.ignored(IgnoreReason.NOT_A_MESSAGE),
        {'ignored_total{reason="not_a_message"}': 1},
    ),
    (lambda m: m.lag(1.5), {"control_lag_seconds": 1.5}),
    (lambda m: m.database(up=True), {"database_up": 1}),
    (lambda m: m.cluster(up=True), {"cluster_up": 1}),
    (lambda m: m.slots(64), {"slots_held": 64}),
    (lambda m: m.swept(4), {"topics_swept_total": 4}),
]


def numbers(metrics: GatewayMetrics) -> dict[str, float]:
    """What Prometheus would read that is not zero, without the process's own."""
    found = {}
    for family in metrics.registry.collect():
        for sample in family.samples:
            pairs = ",".join(f'{name}="{value}"' for name, value in sorted(sample.labels.items()))
            name = f"{sample.name}{{{pairs}}}" if pairs else sample.name
            if sample.value and sample.name.startswith("qd_gateway_"):
                found[name.removeprefix("qd_gateway_")] = sample.value
    return {name: found[name] for name in found if not re.search("_(created|bucket)($|{)", name)}


@pytest.mark.parametrize(("act", "moved"), CASES, ids=[next(iter(case[1])) for case in CASES])
def test_each_moves_its_own_numbers(act: Act, moved: dict[str, float]) -> None:
    metrics = GatewayMetrics()
    assert numbers(metrics) == {}
    act(metrics)
    assert numbers(metrics) == moved


def test_all_methods_are_tried() -> None:
    public = {name for name in vars(GatewayMetrics) if not name.startswith("_")}
    tried = {name for act, _ in CASES for name in act.__code__.co_names}
    assert public <= tried


def test_the_memory_of_the_process_is_among_them() -> None:
    found = {family.name for family in GatewayMetrics().registry.collect()}
    assert "process_resident_memory_bytes" in found
