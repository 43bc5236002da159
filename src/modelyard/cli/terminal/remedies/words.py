"""What the words in the braces of remedies stand for, as far as a command and the profile say it."""

from __future__ import annotations

import os
import re
from pathlib import Path

from modelyard.cli.terminal.formatting import format_scope, quote_word
from modelyard.cli.terminal.remedies.typed_command import TypedCommand
from modelyard.client.profile import ProfileFile, ProfileUnreadable
from modelyard.client.session import get_selected_url
from modelyard.client.settings import read_settings

# What the help calls them: remedies have these names if nothing is known.
_TYPED = ("MODEL", "COLLECTION", "LOCK")


# Commands that choose the registry or the team themselves, or act on this machine.
_UNSCOPED = r"login\b|agent\b|--version|reset-password\b|restore-team\b"
_OF_ANY_TEAM = r"--team\b|team (?:ls|switch)\b|whoami\b"


class NotRepeatable(ValueError):
    """A remedy adds an option that the command does not have."""


class Again:
    """The typed command in a remedy: ``{again}`` as it is, ``{again:--path loras/ink.gguf}`` with an option.

    Several options are on a line each.
    """

    def __init__(self, typed: TypedCommand, file: Path | None) -> None:
        self._typed = typed
        self._file = file

    def __format__(self, specification: str) -> str:
        options = [each.partition(" ")[::2] for each in specification.splitlines()]
        text = self._typed.repeat(options, self._file)
        if text is None:
            raise NotRepeatable(specification)
        return text


def add_scopes(fix: str) -> str:
    """Return a remedy whose commands have places for the typed ``--url`` and ``--team``, as far as they take them."""
    fix = re.sub(rf"\bmodelyard (?={_OF_ANY_TEAM})", "modelyard {url_option}", fix)
    return re.sub(rf"\bmodelyard (?!{_UNSCOPED}|{_OF_ANY_TEAM}|{{)", "modelyard {url_option}{team_option}", fix)


def build_words(typed: TypedCommand | None, file: Path | None) -> dict[str, object]:
    """Return the words of a command: itself, about ``file`` if that is given, its values, and where to sign in.

    Values that are not known have their names in the help.
    """
    url, team = (_find_option(typed, option) for option in ("--url", "--team"))
    registry, email = _find_account(typed) if typed else (None, None)
    words: dict[str, object] = {"url_option": format_scope(url, None), "team_option": format_scope(None, team)}
    words |= {"registry": _quote_or_name(registry, "URL"), "email": _quote_or_name(email, "EMAIL")}
    for name in _TYPED:
        value = typed.find_value(name) if typed else None
        # One that looks like an option is missing, and with it the remedy.
        words |= {} if value and value.startswith("-") else {f"typed_{name.lower()}": _quote_or_name(value, name)}
    if typed:
        words["again"] = Again(typed, file)
    return words


def _find_option(typed: TypedCommand | None, option: str) -> str | None:
    """Return the typed value of an option, the last one; None if it was not typed."""
    return next(iter(reversed(typed.list_option_values(option))), None) if typed else None


def _quote_or_name(value: str | None, name: str) -> str:
    """Return a value as a word of a command, or the name if there is none."""
    return name if value is None else quote_word(value)


def _find_account(typed: TypedCommand) -> tuple[str | None, str | None]:
    """Return the address and the e-mail address to sign in with: of a command that signs in, or of the profile."""
    signs_in = list(typed.names) in (["login"], ["agent", "pair"])
    url = typed.find_value("URL") if signs_in else _find_option(typed, "--url")
    email = typed.find_value("EMAIL") if signs_in else None
    try:
        settings = read_settings(os.environ, url)
        profile = ProfileFile(settings.profile_file).find(get_selected_url(settings))
    except (ValueError, ProfileUnreadable, OSError):
        return url, email
    if profile is None:
        return settings.url, email
    return profile.url, email or profile.email_address
