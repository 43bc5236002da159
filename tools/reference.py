"""Writes ``docs/reference/`` and the page's lists of model types and formats from the code.

    settings.md   from the fields of the server's Settings and of the agent's AgentSettings
    commands.md   from the command trees of `modelyard` and of its server
    routes.md     from the OpenAPI document of the running application
    problems.md   from the problem classes
    model-folders.md   from the table of models folders
    web/src/generated/ from the facts that the page needs (tools/page_facts.py)

Tests check that the files are up to date. `--check` does the same from the command line.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from tools.page_facts import MODULES
from tools.repository import ROOT

NOTE = "<!-- Written by `make fix` from the code. Do not edit. -->"
# What typer adds to every program; its words depend on the shell that asks.
SHELL_OPTIONS = ("install_completion", "show_completion")
METHODS = ("get", "post", "put", "patch", "delete")


def build_settings_page() -> str:
    """Build the page of the server's and the agent's settings, one table row for each."""
    from modelyard.agent.settings import ENVIRONMENT_PREFIX as AGENT_PREFIX
    from modelyard.agent.settings import AgentSettings
    from modelyard.server.settings import ENVIRONMENT_PREFIX, Settings

    introduction = (
        "## Settings of the server\n\n"
        "The environment variables of `modelyard serve`. A flag of the command overrides the variable, which overrides "
        "the default."
    )
    of_an_agent = (
        "## Settings of an agent\n\n"
        "What can be set on `modelyard agent run`. In `agent.toml` the names are those after the prefix, in small "
        "letters. Flags override the environment, the environment overrides the file, and the file the defaults. "
        "`MODELYARD_AGENT_CONFIG` names another file."
    )
    columns = ("setting", "default", "what it does")
    server = build_table(columns, build_settings_rows(ENVIRONMENT_PREFIX, Settings.model_fields))
    agent = build_table(columns, build_settings_rows(AGENT_PREFIX, AgentSettings.model_fields))
    return build_page("Settings", introduction, f"{server}\n\n{of_an_agent}\n\n{agent}")


def build_settings_rows(prefix: str, fields: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Build a table row for each setting: variable, default and description."""
    rows = []
    for name, field in fields.items():
        is_plain = field.default_factory is None and field.default not in (None, (), "")
        rows.append((f"`{prefix}{name.upper()}`", f"`{field.default}`" if is_plain else "", field.description or ""))
    return rows


def build_problems_page() -> str:
    """Build the page of problems, in the order of the classes in their module."""
    from modelyard.wire.problems import list_problem_classes

    rows = [
        (f"`{kind.slug}`", str(kind.status), kind.title, get_first_paragraph(kind)) for kind in list_problem_classes()
    ]
    introduction = (
        "Every refusal is an [RFC 9457](https://www.rfc-editor.org/rfc/rfc9457) problem: `type` is `/problems/` and "
        "the name below, `error_code` is the same name with underscores. The Python client raises the class of that "
        "name, such as `ModelPathTaken` for `model-path-taken`."
    )
    return build_page("Problems", introduction, build_table(("name", "status", "title", "meaning"), rows))


def build_routes_page() -> str:
    """Build the page of API operations, grouped by the first part of their path."""
    document = build_openapi_document()
    groups: dict[str, list[tuple[str, ...]]] = {}
    for path, operations in document["paths"].items():
        group = path.removeprefix("/api/v1").strip("/").split("/")[0]
        for method in METHODS:
            if method in operations:
                groups.setdefault(group, []).append(build_route_row(method, path, operations[method]))
    columns = ("operation", "what it does", "success", "problems")
    sections = [f"## {group}\n\n{build_table(columns, rows)}" for group, rows in groups.items()]
    introduction = (
        "Every operation of the HTTP API. Fields, examples and headers are in the OpenAPI document that a registry "
        "serves at `/api/v1/openapi.json`; what the problems mean is in [problems](problems.md)."
    )
    return build_page("Routes", introduction, "\n\n".join(sections))


def build_route_row(method: str, path: str, operation: dict[str, Any]) -> tuple[str, ...]:
    """Build the table row of an operation: its path, description, success statuses and problems."""
    answers = operation["responses"]
    success_statuses = ", ".join(status for status in sorted(answers) if status < "400")
    slugs = [slug for status in sorted(answers) if status >= "400" for slug in find_problem_slugs(answers[status])]
    description = operation.get("description") or operation.get("summary", "")
    return (
        f"`{method.upper()} {path}`",
        description.split("\n\n")[0],
        success_statuses,
        ", ".join(f"`{slug}`" for slug in slugs),
    )


def find_problem_slugs(answer: dict[str, Any]) -> list[str]:
    """Return the problem slugs in the description of an OpenAPI response, which has a line ``slug: …`` for each."""
    lines = [line for line in answer.get("description", "").splitlines() if line.startswith("`")]
    return [line.split("`")[1] for line in lines]


def build_openapi_document() -> dict[str, Any]:
    """Build the OpenAPI document of an application with a temporary empty registry."""
    from modelyard.server.app import create_app
    from modelyard.server.resources import open_resources
    from modelyard.server.settings import Settings

    with tempfile.TemporaryDirectory() as folder, open_resources(Settings(data_dir=Path(folder))) as resources:
        return create_app(resources).openapi()


def build_commands_page() -> str:
    """Build the page of commands, by the groups of `modelyard --help`; the server's commands come last."""
    from typer.main import get_command

    from modelyard.cli.command_tree import app
    from modelyard.cli.commands import COMMAND_GROUPS
    from modelyard.server.main import app as server_app

    client, server = get_command(app), get_command(server_app)
    sections = [build_section("modelyard", client)]
    for title, names in COMMAND_GROUPS.items():
        sections += [f"# {title}", *iterate_command_sections("modelyard", client, names)]
    on_a_server = "# On a server\n\nThese come with `modelyard[server]`."
    introduction = "All commands with their arguments and options, as `--help` after a command shows them."
    return build_page(
        "Commands", introduction, "\n\n".join([*sections, on_a_server, *iterate_command_sections("modelyard", server)])
    )


def iterate_command_sections(name: str, group: Any, names: Sequence[str] | None = None) -> Iterator[str]:
    """Yield a section for every visible command below a group, or those of ``names`` and below, depth first.

    Commands that have commands below them have no section of their own.
    """
    for word in group.list_commands(None) if names is None else names:
        command = group.get_command(None, word)
        if command.hidden:
            continue
        if hasattr(command, "commands"):
            yield from iterate_command_sections(f"{name} {word}", command)
        else:
            yield build_section(f"{name} {word}", command)


def build_section(name: str, command: Any) -> str:
    """Build the section of a command: usage, help text and table of parameters."""
    parameters = [
        parameter for parameter in command.params if not parameter.hidden and parameter.name not in SHELL_OPTIONS
    ]
    rows = [build_parameter_row(parameter) for parameter in parameters]
    arguments = [row[0].strip("`") for row, of in zip(rows, parameters, strict=True) if is_argument(of)]
    usage = " ".join([name, *arguments, *(["[options]"] if len(rows) > len(arguments) else [])])
    resources = [f"## {name}", f"`{usage}`", join_paragraph_lines(command.help or "")]
    return "\n\n".join(part for part in [*resources, build_table(("argument or option", "what it does"), rows)] if part)


def build_parameter_row(parameter: Any) -> tuple[str, str]:
    """Build the table row of a command's argument or option."""
    if is_argument(parameter):
        # The client's commands have no brackets and dots in it; see ``root_group``.
        name = (parameter.metavar or parameter.name).upper()
        name = f"{name}..." if parameter.nargs == -1 else name
        spelled = name if parameter.required else f"[{name}]"
    else:
        spelled = ", ".join([*parameter.opts, *parameter.secondary_opts])
    return f"`{spelled}`", parameter.help or ""


def is_argument(parameter: Any) -> bool:
    return str(parameter.param_type_name) == "argument"


def join_paragraph_lines(text: str) -> str:
    """Join the lines of each paragraph of a docstring."""
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in text.split("\n\n"))


def get_first_paragraph(documented: type) -> str:
    return (documented.__doc__ or "").strip().split("\n\n")[0]


def build_table(columns: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """Build a Markdown table; empty if there are no rows."""
    if not rows:
        return ""
    lines = [columns, tuple("---" for _ in columns), *rows]
    return "\n".join("| " + " | ".join(escape_cell(text) for text in line) + " |" for line in lines)


def escape_cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def build_page(title: str, introduction: str, body: str, note: str = NOTE) -> str:
    return f"# {title}\n\n{note}\n\n{introduction}\n\n{body}\n"


def build_openapi_file() -> str:
    """Build the OpenAPI document as JSON, from which the page's types are generated."""
    return json.dumps(build_openapi_document(), indent=1, ensure_ascii=False) + "\n"


def build_model_folders_page() -> str:
    """List the models folders that are recognised by name."""
    from modelyard.wire.model_folders import A1111_FOLDERS, CORE_FOLDERS, FORMAT_NODES, NODE_FOLDERS

    rows = [
        (f"`{folder.name}`", folder.custom_node, "directly" if folder.is_read_directly else "through ComfyUI's list")
        for folder in NODE_FOLDERS
    ]
    introduction = (
        "A file in one of these folders below `models` needs no `--type`. ComfyUI's own folders, in any letter case: "
        + ", ".join(f"`{name}`" for name in CORE_FOLDERS)
        + ".\n\nThose of A1111 and Forge that ComfyUI names otherwise, in any letter case: "
        + ", ".join(f"`{name}` is `{folder}`" for name, folder in A1111_FOLDERS.items())
        + ".\n\nThe folders of custom nodes, in any letter case; other nodes may read them too. Where a node reads a"
        " folder directly, ComfyUI's API need not list its files, so a machine cannot see whether they are loaded, and"
        " does not warn."
    )
    by_format = [
        (f"`{node.extension}`", " ".join(f"`{name}`" for name in node.folders), node.custom_node, node.loader)
        for node in FORMAT_NODES
    ]
    formats = "ComfyUI itself does not list every format. What lists and loads the others, by folder:\n\n"
    formats += build_table(("format", "folders", "custom node", "its loader node"), by_format)
    table = build_table(("folder", "custom node", "read"), rows)
    return build_page("Model folders", introduction, f"{table}\n\n{formats}")


# By path below the repository.
PAGES: dict[str, Callable[[], str]] = {
    "docs/reference/settings.md": build_settings_page,
    "docs/reference/problems.md": build_problems_page,
    "docs/reference/commands.md": build_commands_page,
    "docs/reference/routes.md": build_routes_page,
    "docs/reference/model-folders.md": build_model_folders_page,
    "docs/reference/openapi.json": build_openapi_file,
    **MODULES,
}


def read_generated_file(name: str) -> str:
    """Read a generated file from the repository; empty if it does not exist."""
    file = ROOT / name
    return file.read_text(encoding="utf-8") if file.exists() else ""


def main() -> int:
    """Write all generated files, or check them with ``--check``; return 1 if one is stale or cannot be built."""
    parser = argparse.ArgumentParser(description="Write what is generated from the code.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if a file is not up to date")
    is_check = parser.parse_args().check
    stale = 0
    for name, render in PAGES.items():
        try:
            text = render()
        except ImportError as error:
            print(f"{name}: cannot be written: {error}", file=sys.stderr)
            stale += 1
            continue
        if text != read_generated_file(name):
            print(f"{name}: {'not up to date' if is_check else 'written'}")
            stale += is_check
        if not is_check:
            (ROOT / name).write_text(text, encoding="utf-8")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
