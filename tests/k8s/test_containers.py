"""The image, run as the embedded overlay says: the README's main job, also while a part is killed.

It needs root, a container engine (DOCKER_HOST), the image (QD_IMAGE) and TimescaleDB's
(QD_TIMESCALE_IMAGE); where they are not there, the tests skip and say what is missing.
"""

from __future__ import annotations

import json
import random
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from typing import Final

import pytest

from qd_cli.console import iso_time, number
from qd_cli.generate import GeneratedMarket, generate_market
from support.containers import Node, made_up_secrets, missing, private_network
from support.manifests import rendered
from support.reference import Trade, rises, trades_of

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    # Libraries of the engine's client leave their sockets to the garbage collector.
    pytest.mark.filterwarnings("default::ResourceWarning"),
]

TRADES: Final = 40_000
PACE: Final = 8_000_000.0  # three years in twelve seconds
SERVICES: Final = ("database", "broker", "symdb", "gateway", "analytics")
KILLED_WITHIN: Final = 20_000
"""Rows of a stream, of which one is the moment of the kill."""
NO_RIGHTS: Final = """
import json, os, pathlib
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
def writable(folder):
    try:
        pathlib.Path(folder, "x").touch()
    except OSError as error:
        return error.strerror
    return "written"
print(json.dumps({
    "user": [os.getuid(), os.getgid(), sorted(os.getgroups())],
    "capabilities": status["CapEff"].strip() + status["CapBnd"].strip(),
    "no new privileges": status["NoNewPrivs"].strip(),
    "seccomp": status["Seccomp"].strip(),
    "writable": {folder: writable(folder) for folder in ("/", "/opt/qd", "/etc", "/tmp")},
    "secrets": [name for name, text in os.environ.items() if "PASS" in name or "sql:" in text],
}))
"""


@pytest.fixture(scope="module")
def engine() -> None:
    """A container engine with the images of the embedded overlay."""
    pods = rendered("embedded").pods()
    if why := missing(sorted({each.containers[0].spec["image"] for each in pods})):
        pytest.skip(why)


@pytest.fixture(scope="module")
def node(engine: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """All pods of the embedded overlay, ready, with migrated tables and the system's topics."""
    with private_network() as (network, subnet):
        folder = tmp_path_factory.mktemp("node")
        here = Node(folder, network, subnet, rendered("embedded"), made_up_secrets())
        try:
            for component in ("database", "broker"):
                here.start(component)
            for component in ("database", "broker"):
                here.until_ready(component)
            for component in ("migrate", "topics"):
                done = here.job(here.rendered, component)
                assert [each.code for each in done] == [0] * len(done), done
            for component in SERVICES[2:]:
                here.start(component)
            for component in SERVICES[2:]:
                here.until_ready(component)
            yield here
        finally:
            here.close()


@pytest.fixture(scope="module")
def market(node: Node, tmp_path_factory: pytest.TempPathFactory) -> GeneratedMarket:
    """A market that the import Job has imported."""
    folder = tmp_path_factory.mktemp("data")
    folder.chmod(0o755)
    made = generate_market(folder, 0, trades=TRADES, seed=7)
    (done,) = node.job(rendered("import-volume"), "import", data=folder)
    assert done.code == 0, done.err
    return made


def qd(node: Node, *words: str) -> str:
    """What a command prints in a pod like that of `qd shell`."""
    pod = node.rendered.pod("analytics")
    done = node.once(pod, pod.containers[0], words)
    assert done.code == 0, done.err
    return done.out


def following(node: Node, *words: str) -> Generator[str, None, None]:
    pod = node.rendered.pod("analytics")
    return node.follow(pod, pod.containers[0], words)


def as_csv(trades: Sequence[Trade]) -> list[str]:
    rows = [
        f"{each.sequence},{iso_time(each.time_us)},{number(each.price)},{number(each.volume)}"
        for each in trades
    ]
    return ["sequence,time,price,volume", *rows]


def as_alerts(lines: Sequence[str]) -> list[tuple[int, str, float]]:
    rows = [json.loads(line) for line in lines]
    return [(row["sequence"], row["time"], row["price"]) for row in rows]


def test_the_main_job(node: Node, market: GeneratedMarket) -> None:
    trades, _ = trades_of(market.path)
    (symbol,) = [json.loads(line) for line in qd(node, "symbols", "--json").splitlines()]
    assert (symbol["symbol"], symbol["trades"]) == (market.symbol, TRADES)
    assert qd(node, "stream", market.symbol, "--csv").splitlines() == as_csv(trades)
    assert len(qd(node, "stream", market.symbol, "--bars", "1d", "--csv").splitlines()) > 1_000
    expected = [(sequence, iso_time(time), price) for sequence, time, price in rises(trades)]
    assert len(expected) > 3
    with closing(following(node, "alerts", "--follow", "--json")) as lines:
        assert as_alerts([next(lines) for _ in expected]) == expected
    assert as_alerts(qd(node, "alerts", "--json").splitlines()) == expected, "each once"


@pytest.mark.parametrize("component", SERVICES)
def test_one_is_killed_in_mid_stream(node: Node, market: GeneratedMarket, component: str) -> None:
    """At a moment that chance chooses; the client gets each trade once all the same."""
    expected = as_csv(trades_of(market.path)[0])
    moment = random.randrange(1, KILLED_WITHIN)
    found: list[str] = []
    with closing(following(node, "stream", market.symbol, "--csv", "--pace", str(PACE))) as lines:
        for line in lines:
            found.append(line)
            if len(found) == moment:
                node.kill(component)
    assert len(found) == len(expected), f"{component} was killed at row {moment}"
    assert found == expected
    node.until_ready(component)
    assert qd(node, "alerts", "--json").count("\n") == len(rises(trades_of(market.path)[0]))


@pytest.mark.parametrize("component", SERVICES[1:])
def test_a_container_has_no_rights(node: Node, component: str) -> None:
    pod = node.rendered.pod(component)
    done = node.once(pod, pod.containers[0], ["-c", NO_RIGHTS], entrypoint="python3")
    assert done.code == 0, done.err
    found = json.loads(done.out)
    assert found == {
        "user": [10_001, 10_001, [10_001]],
        "capabilities": "0" * 32,
        "no new privileges": "1",
        "seccomp": "2",
        "writable": {
            "/": "Read-only file system",
            "/opt/qd": "Read-only file system",
            "/etc": "Read-only file system",
            "/tmp": "written",
        },
        "secrets": [],
    }
