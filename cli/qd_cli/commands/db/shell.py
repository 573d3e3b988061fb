"""``qd db psql``: PostgreSQL's own client on the market database."""

from __future__ import annotations

import os

import typer

from qd_cli.options import DatabaseOption, State, targets

# What is not an option of this command is psql's.
PSQL_CONTEXT = {"allow_extra_args": True, "ignore_unknown_options": True}


def psql(context: typer.Context, state: State = None, database: DatabaseOption = None) -> None:
    """Open the database in psql; what follows is psql's own.

    The password reaches psql by its environment, never by its argument list. Files with queries
    for exploring are in the folder store/sql.

    \b
    Examples:
      qd db psql
      qd db psql -c 'SELECT count(*) FROM symbol'
      qd db psql -f store/sql/symbols.sql
      qd db psql --csv -f store/sql/vwap.sql -v symbol=XBTEUR
    """
    from qd_store.administration.psql import psql_call

    call = psql_call(targets(state, database=database).database, context.args)
    # It takes this process's place, so that signals and the terminal are its own.
    os.execve(call.arguments[0], call.arguments, {**os.environ, **call.environment})
