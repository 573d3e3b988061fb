"""The environment of commands: what the file that QD_CONFIG names sets joins it.

So options, targets and the parts that a command starts need to know of the environment alone;
each part is then given its own settings and no others (`qd_cli.stack.environment`).
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping

from qd_cli import console
from qd_schemas.settings.table import CONFIG_NAME


def warn_of_strays(env: Mapping[str, str]) -> None:
    """Tell of variables that are likely misspelt settings."""
    if not any(name.startswith("QD_") for name in env):
        return
    from qd_schemas.settings.strays import strays

    for text in strays(env):
        console.say(f"qd: warning: {text}")


def join_environment(env: MutableMapping[str, str]) -> None:
    """Set what the file sets and `env` does not, and forget the file.

    Raises
    ------
    SettingError
        The file cannot be used, or a value in it is not as expected; it is named with its line.
    """
    if not env.get(CONFIG_NAME, "").strip():
        return
    from qd_schemas.settings.given import Given
    from qd_schemas.settings.table import SETTINGS

    given = Given.of(env)
    texts = {setting.name: given.text(setting) for setting in SETTINGS}
    for setting in SETTINGS:
        if texts[setting.name] and setting.name not in env:
            given.find(setting)
    env.update({name: text for name, text in texts.items() if text})
    del env[CONFIG_NAME]
