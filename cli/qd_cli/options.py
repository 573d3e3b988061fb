"""Options and arguments that several commands share. Only declarations."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from qd_cli import completion
from qd_cli.errors import RequestRefused
from qd_cli.stack.parts import DATABASE, FLUVIO, SYMDB
from qd_cli.targets import Targets, state_folder


def _without_password(context: typer.Context, dsn: str | None) -> str | None:
    """Refuse a password that every user of this machine could read in the list of processes."""
    if dsn is None or context.resilient_parsing:
        return dsn
    from qd_store.credentials import has_password

    if has_password(dsn):
        raise RequestRefused(
            "--database holds a password, which all users of this machine can see: set "
            "QD_DATABASE, or QD_DATABASE_FILE to a file with the DSN, or PGPASSWORD, or use "
            "libpq's passfile; and change that password"
        )
    return dsn


State = Annotated[
    Path | None,
    typer.Option(
        "--state",
        metavar="DIR",
        envvar="QD_STATE",
        help="State folder of the stack (default: in your data folder).",
    ),
]
FluvioOption = Annotated[
    str | None,
    typer.Option(
        "--fluvio",
        metavar="HOST:PORT",
        envvar=FLUVIO,
        help="Fluvio cluster (its SC), or the name of a profile (`qd profile list`).",
        autocompletion=completion.profiles,
    ),
]
DatabaseOption = Annotated[
    str | None,
    typer.Option(
        "--database",
        metavar="DSN",
        callback=_without_password,
        help="Market database, without a password (default: QD_DATABASE, or the DSN in the file "
        "that QD_DATABASE_FILE names).",
        show_default=False,
    ),
]
SymdbOption = Annotated[
    str | None,
    typer.Option(
        "--symdb",
        metavar="HOST:PORT",
        envvar=SYMDB,
        help="Symbol master.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON lines for scripts.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Exchange = Annotated[str, typer.Option("--exchange", metavar="NAME", help="The exchange.")]
Symbol = Annotated[
    str, typer.Argument(metavar="SYMBOL", help="The market, such as XBTCAD, or XBT/CAD.")
]
Start = Annotated[
    str | None, typer.Option("--start", metavar="TIME", help="From this ISO time (UTC) on.")
]
End = Annotated[
    str | None, typer.Option("--end", metavar="TIME", help="Before this ISO time (UTC).")
]


Topic = Annotated[
    str,
    typer.Argument(metavar="TOPIC", help="The topic's name.", autocompletion=completion.topics),
]
Topics = Annotated[
    list[str],
    typer.Argument(metavar="TOPIC", help="Topics' names.", autocompletion=completion.topics),
]
OfTopic = Annotated[
    str | None,
    typer.Option(
        "--topic", metavar="TOPIC", help="Only of this topic.", autocompletion=completion.topics
    ),
]


def targets(
    state: Path | None,
    *,
    fluvio: str | None = None,
    database: str | None = None,
    symdb: str | None = None,
    role: str = "owner",
) -> Targets:
    """Collect what the options say about the stack to talk to."""
    given = {FLUVIO: fluvio, DATABASE: database, SYMDB: symdb}
    named = {key: value for key, value in given.items() if value}
    return Targets(named, state_folder(state), role)
