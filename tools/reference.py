"""Writes ``docs/reference/`` from the code, so that what is documented is what is there.

    settings.md   from the fields of the server's Settings and of the agent's AgentSettings
    commands.md   from the command trees of `modelyard` and of its server
    routes.md     from the OpenAPI document of the running application
    problems.md   from the problem classes

Tests compare the pages with what this would write. `--check` does the same from the command line.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from tools.repository import ROOT

FOLDER = ROOT / "docs" / "reference"
NOTE = "<!-- Written by `make fix` from the code. Do not edit. -->"
# What typer adds to every program; its words depend on the shell that asks.
SHELL_OPTIONS = ("install_completion", "show_completion")
METHODS = ("get", "post", "put", "patch", "delete")


def settings_page() -> str:
    """One row a setting. The fields, their defaults and their descriptions are the text."""
    from modelyard.agent.settings import ENVIRONMENT_PREFIX as AGENT_PREFIX
    from modelyard.agent.settings import AgentSettings
    from modelyard.server.settings import ENVIRONMENT_PREFIX, Settings

    introduction = (
        "What an operator can set on `modelyard serve`, by environment variables. The flags of the command win over "
        "the environment, the environment over the defaults."
    )
    of_an_agent = (
        "## Settings of an agent\n\n"
        "What can be set on `modelyard agent run`. In `agent.toml` the names are those after the prefix, in small "
        "letters. Flags win over the environment, that over the file, that over the defaults."
    )
    columns = ("setting", "default", "what it does")
    server = table(columns, settings_rows(ENVIRONMENT_PREFIX, Settings.model_fields))
    agent = table(columns, settings_rows(AGENT_PREFIX, AgentSettings.model_fields))
    return page("Settings of the server", introduction, f"{server}\n\n{of_an_agent}\n\n{agent}")


def settings_rows(prefix: str, fields: dict[str, Any]) -> list[tuple[str, str, str]]:
    rows = []
    for name, field in fields.items():
        is_plain = field.default_factory is None and field.default not in (None, (), "")
        rows.append((f"`{prefix}{name.upper()}`", f"`{field.default}`" if is_plain else "", field.description or ""))
    return rows


def problems_page() -> str:
    """One row a problem, in the order in which the classes stand in their module."""
    from modelyard.wire.problems import every_problem

    rows = [(f"`{kind.slug}`", str(kind.status), f"{kind.title}. {first_line(kind)}") for kind in every_problem()]
    introduction = (
        "Every refusal is an [RFC 9457](https://www.rfc-editor.org/rfc/rfc9457) problem: `type` is `/problems/` and "
        "the name below, `error_code` the same name with underscores. The Python client raises the same kind again."
    )
    return page("Problems", introduction, table(("name", "status", "what it means"), rows))


def routes_page() -> str:
    """One row an operation, grouped by the first part of its path."""
    document = openapi_document()
    groups: dict[str, list[tuple[str, ...]]] = {}
    for path, operations in document["paths"].items():
        group = path.removeprefix("/api/v1").strip("/").split("/")[0]
        for method in METHODS:
            if method in operations:
                groups.setdefault(group, []).append(route_row(method, path, operations[method]))
    columns = ("operation", "what it does", "answers", "problems")
    sections = [f"## {group}\n\n{table(columns, rows)}" for group, rows in groups.items()]
    introduction = (
        "Every operation of the HTTP API. Fields, examples and headers are in the OpenAPI document that a registry "
        "serves at `/api/v1/openapi.json`; what the problems mean is in [problems](problems.md)."
    )
    return page("Routes", introduction, "\n\n".join(sections))


def route_row(method: str, path: str, operation: dict[str, Any]) -> tuple[str, ...]:
    answers = operation["responses"]
    good = ", ".join(status for status in sorted(answers) if status < "400")
    slugs = [slug for status in sorted(answers) if status >= "400" for slug in slugs_in(answers[status])]
    what = operation.get("description") or operation.get("summary", "")
    return f"`{method.upper()} {path}`", what.split("\n\n")[0], good, ", ".join(f"`{slug}`" for slug in slugs)


def slugs_in(answer: dict[str, Any]) -> list[str]:
    """The problems that an OpenAPI answer speaks of: its description has a line ``slug: what it means`` for each."""
    lines = [line for line in answer.get("description", "").splitlines() if line.startswith("`")]
    return [line.split("`")[1] for line in lines]


def openapi_document() -> dict[str, Any]:
    """The document of an application over an empty registry, made for this and thrown away."""
    from modelyard.server.app import create_app
    from modelyard.server.parts import opened
    from modelyard.server.settings import Settings

    with tempfile.TemporaryDirectory() as folder, opened(Settings(data_dir=Path(folder))) as parts:
        return create_app(parts).openapi()


def commands_page() -> str:
    """One section a command, in the order in which `modelyard --help` shows them; the server's come last."""
    from typer.main import get_command

    from modelyard.cli.main import app
    from modelyard.server.main import app as server_app

    client, server = get_command(app), get_command(server_app)
    sections = [section("modelyard", client), *command_sections("modelyard", client)]
    on_a_server = "# On a server\n\nThese come with `modelyard[server]`."
    introduction = "What people type, and every option. `--help` after a command shows the same."
    return page("Commands", introduction, "\n\n".join([*sections, on_a_server, *command_sections("modelyard", server)]))


def command_sections(name: str, group: Any) -> Iterator[str]:
    """Every command below a group, depth first. Groups have no section but their commands have."""
    for word, command in group.commands.items():
        if command.hidden:
            continue
        if hasattr(command, "commands"):
            yield from command_sections(f"{name} {word}", command)
        else:
            yield section(f"{name} {word}", command)


def section(name: str, command: Any) -> str:
    parameters = [one for one in command.params if not one.hidden and one.name not in SHELL_OPTIONS]
    rows = [parameter_row(parameter) for parameter in parameters]
    arguments = [row[0].strip("`") for row, of in zip(rows, parameters, strict=True) if is_argument(of)]
    usage = " ".join([name, *arguments, *(["[options]"] if len(rows) > len(arguments) else [])])
    parts = [f"## {name}", f"`{usage}`", paragraphs(command.help or "")]
    return "\n\n".join(part for part in [*parts, table(("argument or option", "what it does"), rows)] if part)


def parameter_row(parameter: Any) -> tuple[str, str]:
    if is_argument(parameter):
        name = (parameter.metavar or parameter.name).upper().strip("[]")
        name = f"{name}..." if parameter.nargs == -1 and not name.endswith("...") else name
        spelled = name if parameter.required else f"[{name}]"
    else:
        spelled = ", ".join([*parameter.opts, *parameter.secondary_opts])
    return f"`{spelled}`", parameter.help or ""


def is_argument(parameter: Any) -> bool:
    return str(parameter.param_type_name) == "argument"


def paragraphs(text: str) -> str:
    """Text from a docstring, with each paragraph on one line."""
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in text.split("\n\n"))


def first_line(thing: type) -> str:
    return (thing.__doc__ or "").strip().split("\n\n")[0]


def table(columns: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    if not rows:
        return ""
    lines = [columns, tuple("---" for _ in columns), *rows]
    return "\n".join("| " + " | ".join(cell(text) for text in line) + " |" for line in lines)


def cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def page(title: str, introduction: str, body: str) -> str:
    return f"# {title}\n\n{NOTE}\n\n{introduction}\n\n{body}\n"


def openapi_file() -> str:
    """The document as a file: what the page's types are made from."""
    return json.dumps(openapi_document(), indent=1, ensure_ascii=False) + "\n"


PAGES: dict[str, Callable[[], str]] = {
    "settings.md": settings_page,
    "problems.md": problems_page,
    "commands.md": commands_page,
    "routes.md": routes_page,
    "openapi.json": openapi_file,
}


def written(name: str) -> str:
    """The page as it stands in ``docs/reference``; empty if it is not there."""
    file = FOLDER / name
    return file.read_text(encoding="utf-8") if file.exists() else ""


def main() -> int:
    parser = argparse.ArgumentParser(description="Write docs/reference/ from the code.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if a page is not what it should be")
    is_check = parser.parse_args().check
    stale = 0
    for name, render in PAGES.items():
        try:
            text = render()
        except ImportError as error:
            print(f"docs/reference/{name}: cannot be written: {error}", file=sys.stderr)
            stale += 1
            continue
        if text != written(name):
            print(f"docs/reference/{name}: {'not what the code says' if is_check else 'written'}")
            stale += is_check
        if not is_check:
            (FOLDER / name).write_text(text, encoding="utf-8")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
