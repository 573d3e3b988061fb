"""Settings of an import: what a file may hold, what options change, what is said of mistakes."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qd_cli import import_settings
from qd_cli.errors import FileBroken
from qd_cli.import_settings import ImportSettings, parse_import_settings, read_import_settings
from qd_store.imports import run

FOLDER = Path("/data")
EVERYTHING = ImportSettings(
    paths=(FOLDER / "Kraken_Trading_History.zip", FOLDER / "updates"),
    exchange="kraken",
    parallel=2,
    strict=False,
    rejects=FOLDER / "rejects",
    scratch=Path("/var/tmp"),
)


def test_the_documented_example_is_read() -> None:
    assert import_settings.__doc__ is not None
    example = import_settings.__doc__.partition("::\n")[2].partition("Every key")[0]
    assert parse_import_settings(example, FOLDER) == EVERYTHING


def test_everything_may_be_left_out() -> None:
    assert parse_import_settings("", FOLDER) == ImportSettings()


def test_paths_are_relative_to_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    file = tmp_path / "import.toml"
    file.write_text('paths = ["a.csv", "~/b.zip", "/c"]\nrejects = "../refused"')
    found = read_import_settings(file)
    assert found.paths == (tmp_path / "a.csv", tmp_path / "home" / "b.zip", Path("/c"))
    assert found.rejects == tmp_path / "../refused"
    assert parse_import_settings('paths = "one.csv"', FOLDER).paths == (FOLDER / "one.csv",)
    assert parse_import_settings('paths = "s3://b/p/"', FOLDER).paths == ("s3://b/p/",)


def test_options_go_before_the_file() -> None:
    options = ImportSettings(paths=(Path("mine.csv"),), strict=False, parallel=4)
    file = ImportSettings(paths=(Path("theirs.csv"),), strict=True, exchange="binance")
    both = ImportSettings((Path("mine.csv"),), "binance", 4, False)
    assert options.or_else(file) == both
    assert ImportSettings().or_else(file) == file


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("path = 'x'", "path is not known; expected paths, exchange, parallel, strict"),
        ("paths = 3", "paths is 3; expected paths such as"),
        ("paths = []", "paths is []; expected paths such as"),
        ("paths = ['a', 1]", "paths is ['a', 1]; expected paths such as"),
        ("paths = ['~nobody-here/a']", "there is no such user's folder"),
        ("exchange = 'mtgox'", "exchange is 'mtgox'; expected one of kraken, binance"),
        ("exchange = 1", "exchange is 1; expected one of kraken, binance"),
        ("parallel = 0", "parallel is 0; expected a whole number from 1 to 16"),
        ("parallel = true", "parallel is True; expected a whole number"),
        ("parallel = '2'", "parallel is '2'; expected a whole number"),
        ("strict = 'no'", "strict is 'no'; expected true or false"),
        ("rejects = ''", "rejects is ''; expected a path"),
        ("scratch = 1", "scratch is 1; expected a path"),
        ("strict = true\nparallel = two", "is no TOML: Invalid value (at line 2, column 12)"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "import.toml"
    path.write_text(text)
    with pytest.raises(FileBroken) as caught:
        read_import_settings(path)
    assert str(caught.value).startswith(str(path))
    assert says in str(caught.value)


@given(st.text(max_size=60) | st.sampled_from(["paths", "strict"]).map(lambda key: f"{key} = [["))
def test_any_text_is_settings_or_a_value_error(text: str) -> None:
    with contextlib.suppress(ValueError):
        assert isinstance(parse_import_settings(text, FOLDER), ImportSettings)


def test_as_many_side_by_side_as_the_import_takes() -> None:
    assert import_settings.PARALLEL_MAX == run.PARALLEL_MAX
