"""Find commands by what they do: other programs' names for them, similar names, and the words of their help."""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import TYPE_CHECKING, Annotated, Any

import typer

from modelyard.cli.commands import CLIENT_COMMANDS, SERVER_COMMANDS

if TYPE_CHECKING:
    from collections.abc import Sequence

# What other programs, and people, call it: the arguments in capitals are for the message.
SYNONYMS: dict[str, tuple[str, ...]] = {
    "cat": ("show MODEL",),
    "clone": ("pull MODEL",),
    "cp": ("pull MODEL", "push FILE"),
    "del": ("rm MODEL",),
    "delete": ("rm MODEL",),
    "describe": ("show MODEL",),
    "download": ("pull MODEL",),
    "fetch": ("pull MODEL",),
    "find": ("ls WORD", "lookup FILE"),
    "get": ("pull MODEL", "show MODEL"),
    "import": ("add URL",),
    "info": ("show MODEL",),
    "install": ("pull MODEL", "agent install"),
    "list": ("ls",),
    "machines": ("machine ls",),
    "members": ("member ls",),
    "models": ("ls",),
    "move": ("edit MODEL --path PATH",),
    "mv": ("edit MODEL --path PATH",),
    "publish": ("push FILE",),
    "remove": ("rm MODEL",),
    "rename": ("edit MODEL --name NAME, or --path PATH for the file",),
    "search": ("ls WORD",),
    "signin": ("login URL",),
    "signout": ("logout",),
    "start": ("serve", "agent run"),
    "status": ("machine ls", "agent status"),
    "tag": ("edit MODEL --add-tag TAG",),
    "token": ("key create NAME", "source-token ls"),
    "undelete": ("restore MODEL",),
    "undo": ("rollback MODEL", "restore MODEL"),
    "update": ("outdated", "edit MODEL"),
    "upload": ("push FILE",),
    "user": ("whoami", "member ls"),
    "users": ("member ls",),
    "workflow": ("check FILE", "lock FILE"),
}
_HELP = {name: command.help for name, command in CLIENT_COMMANDS.items()} | SERVER_COMMANDS
_MOST_SUGGESTED = 3
_SHORTEST_WORD = 3


def find_similar(word: str) -> list[str]:
    """Return up to three commands with a name like ``word``; if there is none, those with a synonym like it."""
    names = get_close_matches(word.lower(), _HELP, n=_MOST_SUGGESTED)
    synonyms = [] if names else get_close_matches(word.lower(), SYNONYMS, n=_MOST_SUGGESTED)
    found = dict.fromkeys([*names, *(command for synonym in synonyms for command in SYNONYMS[synonym])])
    return list(found)[:_MOST_SUGGESTED]


def find_by_help(word: str) -> list[str]:
    """Return the commands whose name or line of the help has a word that begins with ``word``, in any case."""
    start = word.lower()
    if len(start) < _SHORTEST_WORD:
        return []
    texts = {name: re.findall(r"[a-z]+", f"{name} {text}".lower()) for name, text in _HELP.items() if name != "help"}
    return [name for name, words in texts.items() if any(each.startswith(start) for each in words)]


def find_commands(words: Sequence[str]) -> list[str]:
    """Return the commands that do what the words say, the likest first: by synonym, by help, then by similar names."""
    found = [name for word in words for name in (*SYNONYMS.get(word.lower(), ()), *find_by_help(word))]
    return list(dict.fromkeys(found or [name for word in words for name in find_similar(word)]))


def suggest(name: str) -> str:
    """Return what to type instead of a command that does not exist, as the end of a message; empty if unknown."""
    if commands := SYNONYMS.get(name.lower()):
        return f" Use: {' or '.join(f'modelyard {command}' for command in commands)}"
    if similar := find_similar(name) or find_by_help(name)[:_MOST_SUGGESTED]:
        return f" Did you mean {' or '.join(map(repr, similar))}?"
    return ""


def add_to(app: typer.Typer) -> None:
    """Add the command to the command tree."""
    app.command(name="help")(show_help)


def show_help(
    context: typer.Context,
    words: Annotated[list[str] | None, typer.Argument(metavar="[WORD]...", help="A command, or what to do.")] = None,
) -> None:
    """Find commands by what they do, or show the help of one.

    Examples: modelyard help delete; modelyard help machine ls
    """
    root = context.find_root()
    given = words or []
    command: Any = root.command
    for word in given:
        command = command.get_command(root, word) if hasattr(command, "commands") else None
        if command is None:
            break
    if command is not None:
        name = " ".join(["modelyard", *given])
        typer.echo(command.get_help(type(root)(command, info_name=name)))
        return
    found = find_commands(given)
    if not found:
        raise typer.BadParameter(f"No command does '{' '.join(given)}'. All commands: modelyard --help")
    formatter = context.make_formatter()
    formatter.write_dl([(f"modelyard {each}", _HELP[each.split()[0]]) for each in found])
    typer.echo(formatter.getvalue().rstrip())
