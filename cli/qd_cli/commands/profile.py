"""``qd profile``: the clusters of Fluvio's own profile file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from qd_cli import completion, console
from qd_cli.errors import RequestRefused
from qd_cli.options import Json, Yes

if TYPE_CHECKING:
    from qd_cli.profiles import Profile
    from qd_schemas.specs import TlsSettings

Name = Annotated[
    str,
    typer.Argument(
        metavar="PROFILE", help="The profile's name.", autocompletion=completion.profiles
    ),
]


def _pem(what: str) -> typer.models.OptionInfo:
    option: typer.models.OptionInfo = typer.Option(
        metavar="FILE", exists=True, dir_okay=False, help=f"PEM: {what}."
    )
    return option


def list_profiles(json: Json = False) -> None:
    """List the profiles; a star marks the current one.

    The file is Fluvio's own: ~/.fluvio/config, or what FLV_PROFILE_PATH names.

    \b
    Examples:
      qd profile list
      qd profile list --json | jq -r .endpoint
    """
    from qd_cli.profiles import ProfileFile

    file = ProfileFile()
    found = file.profiles()
    if json:
        for profile in found:
            console.print_json(_object(profile))
        return
    if not found:
        console.say(f"no profile in {file.path}: `qd profile add NAME HOST:PORT` adds one")
        return
    rows = [
        (
            "*" if profile.is_current else "",
            profile.name,
            profile.cluster,
            profile.endpoint or "-",
            profile.tls_policy,
        )
        for profile in found
    ]
    console.print_table(("", "PROFILE", "CLUSTER", "ENDPOINT", "TLS"), rows)


def current(json: Json = False) -> None:
    """Print the current profile's name.

    \b
    Examples:
      qd profile current
      qd profile current --json | jq -r .endpoint
    """
    from qd_cli.profiles import ProfileFile

    file = ProfileFile()
    profile = file.current()
    if profile is None:
        raise RequestRefused(
            f"no profile is current in {file.path}: `qd profile switch` chooses one"
        )
    if json:
        console.print_json(_object(profile))
    else:
        console.out(profile.name)


def switch(name: Name) -> None:
    """Make a profile the current one, for Fluvio's own command as well.

    \b
    Examples:
      qd profile switch local
    """
    from qd_cli.profiles import ProfileFile

    file = ProfileFile()
    file.switch(name)
    console.say(f"switched to profile {name} ({file.find(name).endpoint})")


def add(
    name: Annotated[str, typer.Argument(metavar="PROFILE", help="The new profile's name.")],
    endpoint: Annotated[str, typer.Argument(metavar="HOST:PORT", help="The cluster's SC.")],
    tls_ca: Annotated[Path | None, _pem("who signed the cluster's certificate")] = None,
    tls_cert: Annotated[Path | None, _pem("the client's certificate")] = None,
    tls_key: Annotated[Path | None, _pem("the client's key")] = None,
    tls_domain: Annotated[
        str | None, typer.Option(metavar="NAME", help="Whom the cluster's certificate names.")
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Change a profile of this name.")
    ] = False,
    no_switch: Annotated[
        bool, typer.Option("--no-switch", help="Leave the current profile as it is.")
    ] = False,
) -> None:
    """Add a cluster as a profile, and make it the current one.

    \b
    Examples:
      qd profile add local 127.0.0.1:9003
      qd profile add prod sc.example:9003 --tls-ca ca.pem --tls-cert me.pem --tls-key me.key
      qd profile add local 127.0.0.1:9103 --replace
    """
    from qd_cli.profiles import ProfileFile

    where = _endpoint(endpoint)
    tls = _tls(where, tls_ca, tls_cert, tls_key, tls_domain)
    ProfileFile().add(name, where, tls, replace=replace, switch=not no_switch)
    console.say(f"added profile {name} ({where})" + ("" if no_switch else " and switched to it"))


def _endpoint(text: str) -> str:
    from qd_schemas.errors import SettingError
    from qd_schemas.specs import FluvioSettings

    try:
        return FluvioSettings.from_env({"QD_FLUVIO": text}).endpoint
    except SettingError as error:
        raise RequestRefused(str(error).replace("QD_FLUVIO", "the endpoint")) from None


def _tls(
    endpoint: str, ca: Path | None, cert: Path | None, key: Path | None, domain: str | None
) -> TlsSettings | None:
    from qd_schemas.specs import TlsSettings

    if not any((ca, cert, key, domain)):
        return None
    if ca is None or cert is None or key is None:
        raise RequestRefused(
            "a Fluvio profile with TLS has --tls-ca, --tls-cert and --tls-key: give all three; a "
            "cluster that asks for no client certificate is reached with QD_FLUVIO_TLS_CA"
        )
    host = endpoint.rpartition(":")[0].strip("[]")
    return TlsSettings(
        ca=str(ca.resolve()),
        domain=domain or host,
        cert=str(cert.resolve()),
        key=str(key.resolve()),
    )


def remove(name: Name, yes: Yes = False) -> None:
    """Remove a profile, and its cluster unless another profile names it; no data is touched.

    \b
    Examples:
      qd profile remove old
      qd profile remove old --yes
    """
    from qd_cli.profiles import ProfileFile

    file = ProfileFile()
    profile = file.find(name)
    if not yes:
        console.confirm(f"Remove profile {name} ({profile.endpoint}) from {file.path}?")
    file.remove(name)
    console.say(f"removed profile {name}")
    if profile.is_current:
        console.say("no profile is current now: `qd profile switch` chooses one")


def _object(profile: Profile) -> dict[str, object]:
    return {
        "name": profile.name,
        "cluster": profile.cluster,
        "endpoint": profile.endpoint or None,
        "tls": profile.tls_policy,
        "current": profile.is_current,
    }


def add_to(app: typer.Typer) -> None:
    """Add these commands."""
    group = typer.Typer(help="Clusters that Fluvio's profile file names.", no_args_is_help=True)
    group.command("list")(list_profiles)
    for command in (current, switch, add, remove):
        group.command()(command)
    app.add_typer(group, name="profile", rich_help_panel="Fluvio")
