"""What the environment and the file give: one value at a time, and where each comes from.

The environment goes before the file. Each error names the setting, what was found, what is
expected, and where it was; a secret is never repeated.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from qd_schemas.errors import SettingError
from qd_schemas.settings.file import ConfigFile, read_config
from qd_schemas.settings.setting import Setting
from qd_schemas.settings.table import CONFIG_NAME

T = TypeVar("T")


class Given:
    """All that is set.

    Parameters
    ----------
    env : mapping of str to str
        Such as ``os.environ``.
    file : ConfigFile, optional
        Asked for what `env` does not set.
    """

    def __init__(self, env: Mapping[str, str], file: ConfigFile | None = None) -> None:
        self._env = env
        self._file = file

    @classmethod
    def of(cls, env: Mapping[str, str]) -> Given:
        """What `env` gives, and the file that QD_CONFIG names in it.

        Raises
        ------
        SettingError
            The file cannot be used.
        """
        path = env.get(CONFIG_NAME, "").strip()
        return cls(env, read_config(path) if path else None)

    def text(self, setting: Setting[Any]) -> str:
        """The text of a setting; empty where it is not set."""
        return self._in_env(setting.name) or self._in_file(setting)

    def origin(self, setting: Setting[Any]) -> str:
        """Where a setting comes from: its variable, or its key, file and line."""
        if self._file is not None and not self._in_env(setting.name) and self._in_file(setting):
            return self._file.place(setting.key)
        return setting.name

    def find(self, setting: Setting[T]) -> T | None:
        """The value of a setting; None where it is not set and has no default.

        Raises
        ------
        SettingError
            It is not what is expected.
        """
        text = self.text(setting)
        if not text:
            return setting.default
        try:
            return setting.kind.parse(text)
        except ValueError:
            raise SettingError(
                f"{self.origin(setting)} {setting.kind.wrong(text)}; "
                f"expected {setting.kind.expected}"
            ) from None

    def get(self, setting: Setting[T]) -> T:
        """The value of a setting that must have one.

        Raises
        ------
        SettingError
            It is not set, or not what is expected.
        """
        found = self.find(setting)
        if found is None:
            raise SettingError(self.missing(setting))
        return found

    def missing(self, setting: Setting[Any]) -> str:
        """Say that a setting is not set."""
        places = f" (nor {setting.key} in {self._file.path})" if self._file else ""
        other = f", or {setting.rival}" if setting.rival else ""
        return f"{setting.name} is not set{places}; expected {setting.kind.expected}{other}"

    def one_of(self, setting: Setting[Any], rival: Setting[Any]) -> None:
        """Refuse two settings that say the same, where both are set.

        Raises
        ------
        SettingError
            They are.
        """
        if self.text(setting) and self.text(rival):
            raise SettingError(
                f"{self.origin(setting)} and {self.origin(rival)} are both set; "
                "expected one of them"
            )

    def _in_env(self, name: str) -> str:
        return self._env.get(name, "").strip()

    def _in_file(self, setting: Setting[Any]) -> str:
        if self._file is None or (setting.rival and self._in_env(setting.rival)):
            return ""  # the environment says the same in another way
        return self._file.texts.get(setting.name, "").strip()
