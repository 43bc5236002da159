"""Find commands by what they do: other programs' names for them, similar names, and the words of their help."""

from __future__ import annotations

import re
from collections import Counter
from difflib import get_close_matches
from typing import TYPE_CHECKING, Annotated, Any

import typer

from modelyard.cli.commands import CLIENT_COMMANDS, COMMAND_GROUPS, SERVER_COMMANDS
from modelyard.cli.terminal.terminal import terminal_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

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


def find_by_help(word: str, texts: Mapping[str, str] = _HELP) -> list[str]:
    """Return the commands whose name or line of the help has a word that begins with ``word``, in any case.

    ``texts`` has the line of each; by default of those that the program's help lists.
    """
    start = word.lower()
    if len(start) < _SHORTEST_WORD:
        return []
    words = {name: re.findall(r"[a-z]+", f"{name} {text}".lower()) for name, text in texts.items() if name != "help"}
    return [name for name, each in words.items() if any(part.startswith(start) for part in each)]


def find_commands(words: Sequence[str], texts: Mapping[str, str]) -> dict[str, str]:
    """Return the commands that do what most of the words say, each with its line of the help, the likest first.

    Those are by synonym, then by help; without any, those of similar names. A group is left out if one of its commands
    is among them. ``texts`` is as for ``find_by_help``.
    """
    full_names: dict[str, str] = {}
    counts: Counter[str] = Counter()
    for word in words:
        found = [*SYNONYMS.get(word.lower(), ()), *find_by_help(word, texts)]
        for command in found:
            full_names.setdefault(_remove_arguments(command), command)
        counts.update({_remove_arguments(command) for command in found})
    most = max(counts.values(), default=0)
    best = [name for name in full_names if counts[name] == most]
    shown = [full_names[name] for name in best if not any(each.startswith(f"{name} ") for each in best)]
    shown = shown or [command for word in words for command in find_similar(word)]
    return {command: texts[_remove_arguments(command)] for command in shown}


def _remove_arguments(command: str) -> str:
    """Return a command without its options and its arguments, which are in capitals."""
    return re.sub(r" [A-Z-].*", "", command)


def _list_lines(group: Any, names: Iterable[str], above: str = "") -> Iterator[tuple[str, str]]:
    """Yield each command of a group with its line of the help, followed by those below it."""
    for name in names:
        command = group.get_command(None, name)
        yield f"{above}{name}", command.short_help
        if hasattr(command, "commands"):
            yield from _list_lines(command, command.commands, f"{above}{name} ")


def _list_all_lines(root: Any) -> dict[str, str]:
    """Import all commands, and return the line of each in the help, those below groups and the server's included."""
    names = [name for group in COMMAND_GROUPS.values() for name in group]
    return dict(_list_lines(root, names)) | _HELP


def suggest(name: str, root: Any) -> str:
    """Return what to type instead of a command that does not exist, as the end of a message; empty if unknown.

    If the names and lines of the program's help have nothing like it, all commands below ``root`` are imported.
    """
    if commands := SYNONYMS.get(name.lower()):
        return f" Use: {' or '.join(f'modelyard {command}' for command in commands)}"
    similar = find_similar(name) or find_by_help(name) or find_by_help(name, _list_all_lines(root))
    return f" Did you mean {' or '.join(map(repr, similar[:_MOST_SUGGESTED]))}?" if similar else ""


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
    found = find_commands(given, _list_all_lines(root.command))
    if not found:
        raise typer.BadParameter(
            f"No command does '{' '.join(given)}'. Use another word, or see all commands: modelyard --help"
        )
    formatter = context.make_formatter()
    formatter.write_dl([(f"modelyard {command}", text) for command, text in found.items()])
    terminal_of(context).output.answer(
        document={"command_list": [{"command": command, "help": text} for command, text in found.items()]},
        lines=formatter.getvalue().splitlines(),
        quiet=found,
    )
