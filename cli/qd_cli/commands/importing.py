"""``qd import``: files of trades into the database."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from qd_cli.errors import ExitCode, RequestRefused
from qd_cli.import_settings import PARALLEL_MAX, ImportSettings, read_import_settings
from qd_cli.options import DatabaseOption, Json, State, targets

_PANEL = "Market data"


_Paths = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="PATH",
        help="CSVs (also .gz), folders, zips; also as s3://, gs:// and file:// URIs.",
    ),
]
_Settings = Annotated[
    Path | None,
    typer.Option("--settings", metavar="FILE", help="A TOML file with the paths and options."),
]
_Exchange = Annotated[
    str | None,
    typer.Option(
        "--exchange",
        metavar="NAME",
        help="Whose files: kraken (default) or binance.",
        show_default=False,
    ),
]
_Strict = Annotated[
    bool | None,
    typer.Option(
        "--strict/--lenient",
        help="Refuse a whole file for one bad line, or leave such lines out (default).",
        show_default=False,
    ),
]
_Parallel = Annotated[
    int | None,
    typer.Option(
        "--parallel",
        min=1,
        max=PARALLEL_MAX,
        metavar="N",
        help="Markets side by side (default: half the processors, at least 2).",
        show_default=False,
    ),
]
_Rejects = Annotated[
    Path | None,
    typer.Option(
        "--rejects", metavar="DIR", help="Where refused lines go (default: the state folder)."
    ),
]
_Scratch = Annotated[
    Path | None,
    typer.Option(
        "--scratch", metavar="DIR", help="Where rows are sorted (default: TMPDIR, or /tmp)."
    ),
]
_DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Only read the files and say what is in them.")
]


def import_files(
    paths: _Paths = None,
    settings: _Settings = None,
    exchange: _Exchange = None,
    strict: _Strict = None,
    parallel: _Parallel = None,
    rejects: _Rejects = None,
    scratch: _Scratch = None,
    dry_run: _DryRun = False,
    state: State = None,
    database: DatabaseOption = None,
    json: Json = False,
) -> None:
    """Import trades; a file's name says its market.

    Files imported before change nothing; a newer export of a market adds what is new. Lines
    that are no trades are counted, and written to a rejects file with the reason. Zips are
    read as they are, and need not be unpacked.

    Buckets are found as their own tools find them: AWS_ENDPOINT_URL, AWS_REGION,
    AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or AWS_PROFILE, AWS_CA_BUNDLE;
    GOOGLE_APPLICATION_CREDENTIALS. The exit code is 75 where what failed may pass (a
    database or bucket that does not answer): the same command again finishes the rest.

    \b
    Examples:
      qd import XBTCAD.csv
      qd import ~/Kraken_Trading_History.zip --parallel 2
      qd import old/ new/ --rejects rejects/ --strict
      qd import s3://bucket/Kraken_Trading_History.zip
      qd import "s3://bucket/folder/?endpoint_override=minio:9000&scheme=http"
      qd import BTCUSDT-trades-2024-01.zip --exchange binance
      qd import --settings import.toml
      qd import new.zip --dry-run
    """
    from qd_cli.import_view import run_check, run_import
    from qd_store.exchanges import find_exchange
    from qd_store.imports.files import is_uri

    places = tuple(path if is_uri(path) else Path(path) for path in paths or ())
    options = ImportSettings(places, exchange, parallel, strict, rejects, scratch)
    given = options.or_else(read_import_settings(settings) if settings else ImportSettings())
    if not given.paths:
        raise RequestRefused("nothing to import: give CSVs, folders or zips, or --settings FILE")
    missing = [path for path in given.paths if isinstance(path, Path) and not path.exists()]
    if missing:
        raise RequestRefused(f"{missing[0]} does not exist: give CSVs, folders or zips")
    find_exchange(given.exchange or "kraken")  # before anything is asked of a stack
    found = targets(state, database=database, role="importer")
    wanted = ImportSettings(exchange="kraken", rejects=found.folder.rejects)
    chosen = given.or_else(wanted)
    if dry_run:
        report = found.run(lambda _: run_check(chosen, json=json))
    else:
        dsn = found.database
        report = found.run(lambda _: run_import(dsn, chosen, json=json))
    if report.refused:
        passing = any(file.retriable for file in report.refused)
        raise typer.Exit(ExitCode.TRY_AGAIN if passing else ExitCode.FAILED)


def add_to(app: typer.Typer) -> None:
    """Add this command."""
    app.command("import", rich_help_panel=_PANEL)(import_files)
