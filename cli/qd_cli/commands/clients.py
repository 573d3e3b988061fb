"""``qd clients``: who is logged in at the gateways, ends, tokens, and the gateways themselves."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from qd_cli import console
from qd_cli.errors import RequestRefused
from qd_cli.options import DatabaseOption, Json, State, Yes, targets
from qd_schemas.topics import CLIENT_ID_MAX, CLIENT_ID_MIN

Client = Annotated[
    int,
    typer.Argument(
        metavar="ID", min=CLIENT_ID_MIN, max=CLIENT_ID_MAX, help="The client's id, from 21."
    ),
]
Group = Annotated[
    str | None,
    typer.Option(
        "--group",
        metavar="NAME",
        help="Only of this group of gateways (default: of all).",
    ),
]


def list_clients(
    context: typer.Context,
    group: Group = None,
    state: State = None,
    database: DatabaseOption = None,
    json: Json = False,
) -> None:
    """List the clients that are logged in, and their streams.

    Gateways keep this in the database, at most a second old, and the rows sent some seconds.

    \b
    Examples:
      qd clients
      qd clients --json | jq 'select(.streams == []) | .client'
      qd clients end 21
      qd clients add 21 --name "backtests of Anna"
    """
    if context.invoked_subcommand is not None:
        return
    from qd_cli.clients_view import client_rows, print_clients

    where = targets(state, database=database)
    dsn = where.database
    found = where.run(lambda _: client_rows(dsn, group))
    if json:
        for row in found:
            console.print_json(row.as_json())
    else:
        print_clients(found)


def end(
    client: Client,
    stream: Annotated[
        int | None, typer.Option(metavar="N", help="Only this stream, as `qd clients` numbers it.")
    ] = None,
    group: Group = None,
    state: State = None,
    database: DatabaseOption = None,
    json: Json = False,
) -> None:
    """End a client's session, or one of its streams; the client is told why.

    Waits until it is so. The client may log in again: `qd clients add` gives its id a token.

    \b
    Examples:
      qd clients end 21
      qd clients end 21 --stream 7
    """
    from qd_cli.clients_ending import Outcome
    from qd_cli.clients_ending import end as end_client

    where = targets(state, database=database)
    dsn = where.database
    outcome = where.run(lambda _: end_client(dsn, client, stream, group))
    if json:
        fields = {"client": client, "stream": stream, "outcome": outcome}
        console.print_json({"event": "end", **fields})
        return
    what = f"client {client}" if stream is None else f"stream {stream} of client {client}"
    if outcome is Outcome.ENDED:
        console.say(f"ended {what}")
    else:
        console.say(f"no gateway serves client {client} now: the next one ends {what}")


def add(
    client: Client,
    name: Annotated[str, typer.Option(metavar="TEXT", help="Whose client it is.")] = "",
    replace: Annotated[
        bool, typer.Option("--replace", help="Give another token to one that has a token.")
    ] = False,
    state: State = None,
    database: DatabaseOption = None,
    json: Json = False,
) -> None:
    """Give a client id a token, which whoever uses the id must prove from then on.

    Prints the token, once: only a key made of it is kept. Clients never send it. A session of the
    id that is open ends, and its client is told; with the token it may log in again.

    \b
    Examples:
      qd clients add 21 --name "backtests of Anna"
      qd clients add 21 --replace > token.txt
      QD_CLIENT_ID=21 QD_CLIENT_TOKEN_FILE=token.txt qd stream XBTCAD
    """
    from qd_schemas.identity import key_of, new_token
    from qd_store.gateway_state import add_token, tokens

    where = targets(state, database=database)
    dsn, token = where.database, new_token()

    def work() -> None:
        known = {one.client_id: one for one in tokens(dsn)}
        if client in known and not replace:
            raise RequestRefused(
                f"client {client} has a token ({known[client].name or 'without a name'}): "
                "give --replace for another, which ends the old one"
            )
        add_token(dsn, client, key_of(token), name)

    where.run(lambda _: asyncio.to_thread(work))
    if json:
        console.print_json({"event": "add", "client": client, "name": name, "token": token})
        return
    console.say(
        f"client {client} must prove this token from now on; it is shown this once, so keep it:"
    )
    console.out(token)
    console.say(
        f"programs give it to QDClient({client}, token=…); commands take QD_CLIENT_ID={client} and "
        "QD_CLIENT_TOKEN, or QD_CLIENT_TOKEN_FILE"
    )


def remove(
    client: Client,
    yes: Yes = False,
    state: State = None,
    database: DatabaseOption = None,
    json: Json = False,
) -> None:
    """Take a client id's token away; its session ends.

    The id is then anybody's, unless gateways take no client without a token
    (QD_GATEWAY_TOKENS=required).

    \b
    Examples:
      qd clients remove 21
      qd clients remove 21 --yes
    """
    from qd_store.gateway_state import remove_token

    where = targets(state, database=database)
    dsn = where.database
    if not yes:
        console.confirm(f"Let anybody use the id {client}, without its token?")
    if not where.run(lambda _: asyncio.to_thread(remove_token, dsn, client)):
        raise RequestRefused(f"client {client} has no token: `qd clients tokens` lists who has")
    if json:
        console.print_json({"event": "remove", "client": client})
    else:
        console.say(f"client {client} has no token any more")


def list_tokens(state: State = None, database: DatabaseOption = None, json: Json = False) -> None:
    """List the clients that have tokens; the tokens themselves are nowhere kept.

    \b
    Examples:
      qd clients tokens
      qd clients tokens --json | jq -r .name
    """
    from qd_cli.clients_view import print_tokens, token_json
    from qd_store.gateway_state import tokens

    where = targets(state, database=database)
    dsn = where.database
    found = where.run(lambda _: asyncio.to_thread(tokens, dsn))
    if json:
        for token in found:
            console.print_json(token_json(token))
    else:
        print_tokens(found)


def list_gateways(
    group: Group = None,
    state: State = None,
    database: DatabaseOption = None,
    json: Json = False,
) -> None:
    """List the gateways, and how many of the 64 parts of all clients each serves.

    \b
    Examples:
      qd clients gateways
      qd clients gateways --json | jq 'select(.alive) | .slots | length'
    """
    from qd_cli.clients_view import gateway_json, print_gateways
    from qd_store.gateway_state import gateways

    where = targets(state, database=database)
    dsn = where.database
    found = where.run(lambda _: asyncio.to_thread(gateways, dsn, group))
    if json:
        for gateway in found:
            console.print_json(gateway_json(gateway))
    else:
        print_gateways(found)


def add_to(app: typer.Typer) -> None:
    """Add these commands."""
    group = typer.Typer(invoke_without_command=True)
    group.callback()(list_clients)
    for command in (end, add, remove):
        group.command()(command)
    group.command("tokens")(list_tokens)
    group.command("gateways")(list_gateways)
    app.add_typer(group, name="clients", rich_help_panel="Market data")
