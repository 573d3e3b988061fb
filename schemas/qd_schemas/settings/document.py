"""The settings for people: the table in the documentation, and an example of the file.

``python -m qd_schemas.settings.document`` prints the documentation's table.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

from qd_schemas.enums import ServiceId
from qd_schemas.settings.kinds import Choice, Detours, Dsn, Endpoint, Text, Whole, Words
from qd_schemas.settings.setting import Setting
from qd_schemas.settings.table import OTHER_NAMES, SETTINGS, TITLES

_HEAD: Final = """\
# Settings

Every part reads its settings from the environment, and from the TOML file that `QD_CONFIG` names
for what the environment does not set. Each is checked at the start: an error names the setting,
what was found and where (the variable, or the file and the line), and what is expected. A name in
the file that is no setting's is an error too.

`qd config show` tells what is set, and where each value comes from; `qd config check FILE` checks
a file; `qd config example` prints one to begin with. A variable that is likely misspelt, such as
`QD_GATEWAY_TOKNES`, is a warning of each service, command and client, which names the likely one:
an environment may hold what others put there. `qd config` tells all that begin with `QD_`.

A service gets its own part and nothing else: `qd up` and `qd run` pass each only what the column
*for* says, so no service ever sees another's secrets. One file can serve all parts. Commands may
read any setting. A secret (🔒) is shown nowhere; `…_FILE` names a file with it instead, as
orchestrators mount them.

This page is made of the declarations in `schemas/qd_schemas/settings/table.py`.
"""
_COLUMNS: Final = ("variable", "key", "what it is for", "expected", "default", "for")
_SERVICES: Final = {
    ServiceId.QDGW: "gateway",
    ServiceId.SYMDB: "symdb",
    ServiceId.ANALYTICS: "analytics",
}
_EXAMPLE_HEAD: Final = """\
# Settings of qd. QD_CONFIG names this file; the environment's variables go before it.
# Each service takes its own part. Take away the # of the lines that you want.
"""


def default_text(setting: Setting[Any]) -> str:
    """A setting's default as it would be written; empty where it is no plain value."""
    if setting.default is None:
        return ""
    if isinstance(setting.kind, Choice):
        words = setting.kind.words.items()
        return next(word for word, value in words if value == setting.default)
    return str(setting.default)


def as_markdown() -> str:
    """The documentation of all settings."""
    parts = [_HEAD]
    for table, title in TITLES.items():
        parts.append(f"## {title}: `[{table}]`\n\n{_rows(table)}\n")
    lines = [f"| `{name}` | {text} |" for name, text in OTHER_NAMES.items()]
    others = "\n".join(("| variable | what it is for |", "|---|---|", *lines))
    parts.append(f"## Variables that are no settings\n\n{others}\n")
    return "\n".join(parts)


def _rows(table: str) -> str:
    lines = [f"| {' | '.join(_COLUMNS)} |", f"|{'---|' * len(_COLUMNS)}"]
    for setting in SETTINGS:
        if setting.table == table:
            lines.append("| " + " | ".join(_cells(setting)) + " |")
    return "\n".join(lines)


def _cells(setting: Setting[Any]) -> Iterator[str]:
    yield f"`{setting.name}`"
    yield f"`{setting.leaf}`"
    yield f"{setting.help}{' 🔒' if setting.is_secret else ''}"
    yield setting.kind.expected
    plain = default_text(setting)
    needed = "*it must be set*" if setting.is_required else "none"
    yield f"`{plain}`" if plain else setting.default_words or needed
    yield ", ".join(_SERVICES[service] for service in setting.services) or "commands"


def as_toml() -> str:
    """A file with every setting, each as a comment; a right one once any are uncommented."""
    parts = [_EXAMPLE_HEAD]
    for table, title in TITLES.items():
        parts.append(f"\n# {title}\n[{table}]\n")
        parts += [_entry(setting) for setting in SETTINGS if setting.table == table]
    return "".join(parts)


def _entry(setting: Setting[Any]) -> str:
    secret = "; a secret" if setting.is_secret else ""
    note = f"; by default {setting.default_words}" if setting.default_words else ""
    return (
        f"\n# {setting.help}\n# ({setting.name}: {setting.kind.expected}{note}{secret})\n"
        f"#{setting.leaf} = {literal(setting, default_text(setting) or example(setting))}\n"
    )


def example(setting: Setting[Any]) -> str:
    """A text that a setting could have."""
    kind = setting.kind
    if isinstance(kind, Choice):
        return next(iter(kind.words))
    if isinstance(kind, Whole):
        return str(kind.low)
    if isinstance(kind, Text):
        return "/path/to/file" if "path" in kind.expected else "name"
    known = {
        Endpoint: "127.0.0.1:9003",
        Detours: "broker:9010=127.0.0.1:41234",
        Dsn: "postgresql://host/qd",
        Words: "XBTUSD,ETHUSD",
    }
    return known.get(type(kind), "text")


def literal(setting: Setting[Any], text: str) -> str:
    """A text as the file has it."""
    if list in setting.kind.toml:
        return json.dumps(text.split(","))
    return json.dumps(text) if str in setting.kind.toml else text


if __name__ == "__main__":
    print(as_markdown(), end="")
