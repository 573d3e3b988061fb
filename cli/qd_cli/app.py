"""The list of all commands. Each group's module adds its own."""

from __future__ import annotations

import importlib
import os
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from qd_cli.configuration import join_environment, warn_of_strays

_GROUPS = (
    *("demo", "stack", "importing", "data", "alerts", "analytics", "db", "produce", "consume"),
    *("topics", "partitions", "offsets", "profile", "process", "broker", "services"),
    *("clients", "config", "health", "deploy"),
)

_HELP = """Market replay and streaming causal analytics on Fluvio.

\b
Start here:
  qd demo                     the main job, end to end, on generated trades
  qd up                       a stack that stays up
  qd import kraken.zip        trades into its database
  qd stream XBTCAD --bars 1d  a market's daily bars
  qd alerts --follow          breakouts as they are found
  qd topics list              what Fluvio holds
  qd deploy --overlay embedded  all of it on Kubernetes

\b
Exit codes: 0 done, 1 failed, 2 wrong usage, 3 a part died (status),
4 nothing runs (status), 5 topics differ (topics apply), 6 unsound (db check),
7 tables of another version (db status), 70 a defect of qd, 75 failed, but may
succeed later (something did not answer), 130 Ctrl-C, 141 closed pipe,
129 hang-up, 143 SIGTERM.
"""


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"qd {version('qd')}")
        raise typer.Exit


class _Sections(TyperGroup):
    """Lists commands by what they are for, not those without commands of their own first."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write a section for each panel that commands name."""
        commands: list[tuple[str, Any]]
        commands = [(name, self.commands[name]) for name in self.list_commands(ctx)]
        width = max(len(name) for name, _ in commands)
        sections: dict[str, list[tuple[str, str]]] = {}
        for name, command in commands:
            about = command.get_short_help_str(formatter.width - width - 4)
            sections.setdefault(command.rich_help_panel, []).append((name.ljust(width), about))
        for panel, rows in sections.items():
            with formatter.section(panel):
                formatter.write_dl(rows)


def make_app() -> typer.Typer:
    """Build the command with all its commands."""
    app = typer.Typer(
        name="qd",
        cls=_Sections,
        help=_HELP,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_options)
    for group in _GROUPS:
        importlib.import_module(f"qd_cli.commands.{group}").add_to(app)
    return app


def _options(
    context: typer.Context,
    version: Annotated[
        bool,
        typer.Option("--version", is_eager=True, callback=_show_version, help="Print the version."),
    ] = False,
    cluster: Annotated[
        bool | None,
        typer.Option(
            "--cluster/--no-cluster",
            help="Use the deployment that `qd deploy` made last, or none "
            "(default: where no local stack runs).",
            show_default=False,
        ),
    ] = None,
) -> None:
    if cluster is not None:
        os.environ["QD_DEPLOYMENT"] = "remembered" if cluster else "none"
    if context.invoked_subcommand != "config":  # which tells where each setting comes from
        warn_of_strays(os.environ)
        join_environment(os.environ)
