"""The official SBE tool accepts the schema, and the decoders that it generates read our records.

It runs with its XSD and with warnings as errors. ``QD_SBE_JAR`` names the tool's jar (Maven
artifact uk.co.real-logic:sbe-all:1.30.0); its decoders are compiled and run with a JDK.
"""

from __future__ import annotations

import dataclasses
import os
import random
import shutil
import struct
import subprocess
import zipfile
from collections.abc import Callable, Iterable
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qd_schemas.arrays import BAR, TRADE, Rows
from qd_schemas.codec import encode
from qd_schemas.enums import DataType, Resolution
from qd_schemas.frames import bar_frames, bar_messages, trade_frames, trade_messages
from qd_schemas.identity import mac_of, signed
from qd_schemas.messages import (
    ExactBar,
    ExactTrade,
    FrameHeader,
    Message,
    OHLCVBar,
    Signed,
    StartData,
    TradeBar,
)
from qd_schemas.table import LAYOUTS, Field, Layout, layout_of
from qd_schemas.wire import VERSION, VERSION_REFERENCE, Kind

pytestmark = pytest.mark.slow

TOOL_SECONDS_MAX = 60
SEED = 6
VALUES_EACH = 40
FRAME_ROWS = 3_000  # more than one frame holds
READER = Path(__file__).with_name("ReadRecords.java")

Reading = list[list[str]]
"""What was read: the lines of each record's messages."""


@pytest.fixture(scope="module")
def jar() -> Path:
    found = os.environ.get("QD_SBE_JAR")
    if not found:
        pytest.skip("QD_SBE_JAR does not name the SBE tool's jar (uk.co.real-logic:sbe-all:1.30.0)")
    if shutil.which("java") is None:
        pytest.skip("no java to run the SBE tool with")
    return Path(found).resolve()


def run_tool(jar: Path, schema: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    with zipfile.ZipFile(jar) as archive:
        xsd = archive.extract("fpl/sbe.xsd", folder)
    options = {
        "sbe.output.dir": str(folder / "out"),
        "sbe.validation.xsd": xsd,
        "sbe.validation.stop.on.error": "true",
        "sbe.validation.warnings.fatal": "true",
    }
    command = ["java", *(f"-D{name}={value}" for name, value in options.items())]
    return subprocess.run(
        [*command, "-jar", str(jar), str(schema)],
        capture_output=True,
        text=True,
        timeout=TOOL_SECONDS_MAX,
        check=False,
    )


@pytest.fixture(scope="module")
def generated(jar: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder whose `out` has the sources that the tool generated."""
    folder = tmp_path_factory.mktemp("sbe")
    with resources.as_file(resources.files("qd_schemas").joinpath("sbe/qd.xml")) as schema:
        done = run_tool(jar, schema, folder)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def read(jar: Path, generated: Path) -> Callable[[Iterable[bytes]], Reading]:
    """Reads records with the generated decoders, compiled for that."""
    if shutil.which("javac") is None:
        pytest.skip("no javac to compile the generated decoders with; install a JDK")
    classes = generated / "classes"
    sources = [str(path) for path in (generated / "out").rglob("*Decoder.java")]
    path = f"{generated / 'out'}{os.pathsep}{jar}"
    command = ["javac", "-nowarn", "-d", str(classes), "-cp", path, str(READER), *sources]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TOOL_SECONDS_MAX)
    assert done.returncode == 0, done.stderr
    names = ",".join(layout.wire_name for layout in LAYOUTS.values())

    def run(records: Iterable[bytes]) -> Reading:
        done = subprocess.run(
            ["java", "-cp", f"{classes}{os.pathsep}{jar}", "ReadRecords", "qd.sbe", names],
            input="".join(record.hex() + "\n" for record in records),
            capture_output=True,
            text=True,
            timeout=TOOL_SECONDS_MAX,
        )
        assert done.returncode == 0, done.stderr
        return [part.split("\n") for part in done.stdout.split("\n\n")[:-1]]

    return run


def test_the_tool_accepts_the_schema(generated: Path) -> None:
    assert list((generated / "out").rglob("BreakoutAlertEncoder.java"))


def test_the_tool_would_have_refused(jar: Path, tmp_path: Path) -> None:
    """Only a tool that can say no proves something by saying yes."""
    text = resources.files("qd_schemas").joinpath("sbe/qd.xml").read_text()
    broken = tmp_path / "broken.xml"
    broken.write_text(text.replace('type="SymbolID"', 'type="NoSuchType"', 1))
    assert run_tool(jar, broken, tmp_path).returncode != 0


@pytest.mark.parametrize("version", [VERSION_REFERENCE, VERSION])
def test_its_decoders_read_every_message(
    read: Callable[[Iterable[bytes]], Reading], version: int
) -> None:
    """All fields, also those that a sender of version 1 leaves out: they read as absent."""
    chance = random.Random(SEED)
    layouts = [layout for layout in LAYOUTS.values() if layout.since <= version]
    messages = [any_of(layout, chance) for layout in layouts for _ in range(VALUES_EACH)]
    found = read(encode(message, version) for message in messages)
    assert found == [[line_of(message, version)] for message in messages]


def test_its_decoders_walk_frames_of_trades(read: Callable[[Iterable[bytes]], Reading]) -> None:
    rows = any_rows(TRADE)
    rows["sequence"] = np.arange(77, 77 + len(rows))
    frames = trade_frames(rows, symbol_id=278, stream_id=9)
    assert len(frames) > 1
    messages = [ExactTrade(278, *row[1:]) for row in rows.tolist()]
    found = read(frames)
    headers = header_lines(found)
    assert [lines[1:] for lines in found] == framed(messages, headers)
    assert [int(fields["firstSequence"]) for fields in headers] == sequences(77, headers)


def test_its_decoders_walk_frames_of_bars(read: Callable[[Iterable[bytes]], Reading]) -> None:
    rows = any_rows(BAR)
    frames = bar_frames(
        rows, symbol_id=278, stream_id=9, resolution=Resolution.M5, first_sequence=41
    )
    assert len(frames) > 1
    messages = [ExactBar(278, *row) for row in rows.tolist()]
    found = read(frames)
    headers = header_lines(found)
    assert [lines[1:] for lines in found] == framed(messages, headers)
    assert [int(fields["firstSequence"]) for fields in headers] == sequences(41, headers)
    assert {fields["dataTypeID"] for fields in headers} == {f"{DataType.OHLCV_EXACT}:OHLCV_EXACT"}


@pytest.mark.parametrize("version", [VERSION_REFERENCE, VERSION])
def test_its_decoders_read_single_rows(
    read: Callable[[Iterable[bytes]], Reading], version: int
) -> None:
    trades, bars = any_rows(TRADE)[:200], any_rows(BAR)[:200]
    found = read([*trade_messages(trades, 5, version), *bar_messages(bars, 5, version)])
    messages: list[Message] = [TradeBar(5, *row[1:]) for row in trades.tolist()]
    messages += [OHLCVBar(5, *row) for row in bars.tolist()]
    assert found == [[line_of(message, version)] for message in messages]


def test_its_decoders_walk_a_signed_request(read: Callable[[Iterable[bytes]], Reading]) -> None:
    chance = random.Random(SEED)
    request = any_of(layout_of(StartData), chance)
    key, counter = chance.randbytes(32), 2**40
    (lines,) = read([signed(key, 278, counter, encode(request))])
    mac = mac_of(key, 278, counter, encode(request))
    assert lines == [line_of(one, VERSION) for one in (Signed(278, counter, mac), request)]


def any_of(layout: Layout, chance: random.Random) -> Message:
    """A message with random values, now and then the ones at the ends of what fits."""
    return layout.message(**{field.name: any_value(field, chance) for field in layout.fields})


def any_value(field: Field, chance: random.Random) -> Any:
    if field.values is not None and chance.random() < 0.7:
        return chance.choice(list(field.values)).value
    ends = [bytes(field.kind.size), b"\xff" * field.kind.size]
    drawn = chance.choice([*ends, *(chance.randbytes(field.kind.size) for _ in range(4))])
    (value,) = struct.unpack("<" + field.kind.struct_code, drawn)
    is_nan = value != value  # a NaN's bits need not survive a conversion
    return any_value(field, chance) if is_nan else value


def any_rows(dtype: np.dtype[np.void]) -> Rows:
    random_ = np.random.default_rng(SEED)
    rows = np.zeros(FRAME_ROWS, dtype)
    for name in dtype.names or ():
        if dtype[name].kind == "i":
            rows[name] = random_.integers(0, 2**62, FRAME_ROWS)
        else:
            rows[name] = random_.lognormal(0, 9, FRAME_ROWS)
    return rows


def line_of(message: Message, version: int) -> str:
    """What must be printed for a message of that version."""
    layout = layout_of(type(message))
    there = layout.fields_in(version)
    fields = [("messageType", f"{layout.template}:{layout.wire_name}")]
    for field in layout.fields:
        value = getattr(message, field.name) if field in there else absent(field)
        fields.append((field.wire_name, text_of(field, value)))
    return "\t".join([layout.wire_name, *(f"{name}={text}" for name, text in fields)])


def absent(field: Field) -> Any:
    """What is read where a field was left out; an enumeration has no default but null."""
    return field.default if field.values is None else field.kind.null


def text_of(field: Field, value: Any) -> str:
    if isinstance(value, bytes):
        return value.hex()
    if field.kind in (Kind.F32, Kind.F64):
        code = {4: "<i", 8: "<q"}[field.kind.size]
        return str(*struct.unpack(code, struct.pack("<" + field.kind.struct_code, value)))
    if field.values is None:
        return str(value)
    if value == field.kind.null:
        return f"{value}:NULL_VAL"
    return f"{value}:{field.values(value).name}" if value in list(field.values) else str(value)


def header_lines(found: Reading) -> list[dict[str, str]]:
    """The frames' headers as they were read, field by field."""
    names = {lines[0].split("\t")[0] for lines in found}
    assert names == {FrameHeader.__name__}
    return [dict(text.split("=") for text in lines[0].split("\t")[1:]) for lines in found]


def framed(messages: list[Any], headers: list[dict[str, str]]) -> list[list[str]]:
    """The lines of the messages, as many in each frame as its header says."""
    lines = iter([line_of(message, VERSION) for message in messages])
    parts = [[next(lines) for _ in range(int(fields["count"]))] for fields in headers]
    assert not list(lines)
    return parts


def sequences(first: int, headers: list[dict[str, str]]) -> list[int]:
    """The sequence that each frame must begin with."""
    counts = [int(fields["count"]) for fields in headers]
    return [first + sum(counts[:at]) for at in range(len(counts))]


def test_every_field_of_the_table_is_compared() -> None:
    """The comparison follows the table: a value that differs in one field differs in its line."""
    chance = random.Random(SEED)
    for layout in LAYOUTS.values():
        message = any_of(layout, chance)
        for field in layout.fields:
            for other in (any_value(field, chance) for _ in range(100)):
                if other != getattr(message, field.name):
                    changed = dataclasses.replace(message, **{field.name: other})  # type: ignore[type-var]
                    assert line_of(changed, VERSION) != line_of(message, VERSION)
                    break
            else:
                raise AssertionError(f"no other value of {field} was drawn")
