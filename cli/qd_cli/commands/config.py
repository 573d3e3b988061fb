"""``qd config``: what is set, where it comes from, whether it is right, and an example."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from qd_cli import console
from qd_cli.errors import ExitCode
from qd_cli.options import Json

if TYPE_CHECKING:
    from qd_cli.config_view import Verdict

_SERVICE = "gateway, symdb or analytics"


def show(
    service: Annotated[
        str | None,
        typer.Argument(metavar="SERVICE", help=f"Only what {_SERVICE} gets (default: everything)."),
    ] = None,
    json: Json = False,
) -> None:
    """Show each setting, its value, and where the value comes from; secrets are hidden.

    The exit code is 1 where a value is not as expected.

    \b
    Examples:
      qd config show
      qd config show gateway
      QD_CONFIG=qd.toml qd config show --json | jq 'select(.from != "default")'
    """
    from qd_cli.config_view import config_file, shown, spec_of, warnings_of
    from qd_schemas.settings.given import Given
    from qd_schemas.settings.table import SETTINGS

    file = config_file(os.environ)
    settings = spec_of(service).settings if service else SETTINGS
    found = shown(Given(os.environ, file), settings)
    if json:
        for row in found:
            console.print_json(row.as_json())
    else:
        rows = [(row.name, "-" if row.value is None else row.value, row.source) for row in found]
        console.print_table(("SETTING", "VALUE", "FROM"), rows)
    _warn(warnings_of(os.environ, file))
    _end([row.error for row in found if row.error])


def check(
    file: Annotated[
        Path | None,
        typer.Argument(metavar="FILE", help="A TOML file (default: what QD_CONFIG names)."),
    ] = None,
    service: Annotated[
        str | None, typer.Option(metavar="NAME", help=f"Whether {_SERVICE} could start with it.")
    ] = None,
    json: Json = False,
) -> None:
    """Check all that is set, in the file and in the environment, which goes before it.

    The exit code is 0 where each value makes sense, and 1 where one does not, or where the
    service that is named lacks a setting.

    \b
    Examples:
      qd config check qd.toml
      qd config check qd.toml --service gateway
      qd config check --json
    """
    from qd_cli.config_view import config_file, errors_of, spec_of, verdict_of, warnings_of
    from qd_schemas.settings.given import Given
    from qd_schemas.specs import SERVICES

    chosen = config_file(os.environ, file)
    given = Given(os.environ, chosen)
    specs = [spec_of(service)] if service else list(SERVICES.values())
    verdicts = [verdict_of(given, spec) for spec in specs]
    _print_verdicts(verdicts, json=json)
    _warn(warnings_of(os.environ, chosen))
    errors = [error for verdict in verdicts for error in verdict.errors]
    if service:
        missing = [name for verdict in verdicts for name in verdict.lacks]
        errors += [f"{name} is not set, and {service} needs it" for name in missing]
    else:
        errors += errors_of(given)
    _end(list(dict.fromkeys(errors)))


def _print_verdicts(verdicts: list[Verdict], *, json: bool) -> None:
    if not json:
        rows = [(verdict.service, verdict.state) for verdict in verdicts]
        console.print_table(("SERVICE", "SETTINGS"), rows)
        return
    for verdict in verdicts:
        console.print_json(
            {"service": verdict.service, "lacks": verdict.lacks, "errors": verdict.errors}
        )


def example() -> None:
    """Print a file with all settings, each as a comment that says what it is for.

    \b
    Examples:
      qd config example > qd.toml
    """
    from qd_schemas.settings.document import as_toml

    console.out(as_toml().rstrip())


def _warn(texts: list[str]) -> None:
    for text in texts:
        console.say(f"warning: {text}")


def _end(errors: list[str]) -> None:
    for error in errors:
        console.say(f"error: {error}")
    if errors:
        raise typer.Exit(ExitCode.FAILED)


def add_to(app: typer.Typer) -> None:
    """Add these commands."""
    group = typer.Typer(
        help="Settings: what is set, from where, and whether it is right.", no_args_is_help=True
    )
    for command in (show, check, example):
        group.command()(command)
    app.add_typer(group, name="config", rich_help_panel="Single services")
