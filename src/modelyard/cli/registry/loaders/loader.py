"""``team loader``: list, add and remove inputs of custom nodes that name models."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from modelyard.cli.registry.listing import ListFormat, print_list
from modelyard.cli.terminal.terminal import terminal_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from modelyard.client.api.registry import RegistryApi
    from modelyard.wire.agent_requests.loaders import LoaderInput

loader = typer.Typer(
    no_args_is_help=True, help="Custom nodes that load models, for checks of workflows: list, add, remove."
)
_ATTEMPTS = 5
NodeType = Annotated[str, typer.Argument(metavar="NODE", help="The class of the node, as workflows name it.")]


@loader.command("ls")
def list_loaders(context: typer.Context) -> None:
    """List the inputs of nodes that the team has added, each with the folder of the models that it names."""
    terminal = terminal_of(context)
    shown = terminal.call_registry(lambda registry: registry.current_team())
    layout: ListFormat[LoaderInput] = ListFormat(
        "loader_list",
        ("NODE", "INPUT", "FOLDER"),
        lambda each: (each.node_type, each.input, each.folder),
        lambda each: each.node_type,
        "No loaders. To add one: modelyard team loader add NODE INPUT FOLDER",
    )
    print_list(terminal, shown.loader_list, layout)


@loader.command("add")
def add_loader(
    context: typer.Context,
    node_type: NodeType,
    input_name: Annotated[str, typer.Argument(metavar="INPUT", help="Its input that names a model.")],
    folder: Annotated[str, typer.Argument(help="ComfyUI's key of the folder, such as loras.")],
) -> None:
    """Add an input of a node, or change its folder.

    Example: modelyard team loader add StyleLoader style_name style_models
    """
    from modelyard.wire.agent_requests.loaders import LoaderInput

    new = LoaderInput(node_type=node_type, input=input_name, folder=folder)

    def add(present: Sequence[LoaderInput]) -> list[LoaderInput]:
        """Return the table with the input."""
        return [*(each for each in present if _get_key(each) != _get_key(new)), new]

    terminal = terminal_of(context)
    terminal.call_registry(lambda registry: _change_loaders(registry, add))
    terminal.output.done(f"'{input_name}' of '{node_type}' names models of the folder '{folder}'.", folder=folder)


@loader.command("rm")
def remove_loader(
    context: typer.Context,
    node_type: NodeType,
    input_name: Annotated[
        str | None, typer.Argument(metavar="INPUT", help="One of its inputs; by default all of them.")
    ] = None,
) -> None:
    """Remove an input of a node, or the node, from the team's table."""

    def remove(present: Sequence[LoaderInput]) -> list[LoaderInput]:
        """Return the table without the inputs."""
        return [each for each in present if not _is_named(each, node_type, input_name)]

    terminal = terminal_of(context)
    if not terminal.call_registry(lambda registry: _change_loaders(registry, remove)):
        raise typer.BadParameter("The team's table has no such node or input. List it: modelyard team loader ls")
    terminal.output.done(f"Removed '{node_type}'.", node_type=node_type)


def _get_key(loader_input: LoaderInput) -> tuple[str, str]:
    """Return what an entry of the table is about."""
    return loader_input.node_type, loader_input.input


def _is_named(loader_input: LoaderInput, node_type: str, input_name: str | None) -> bool:
    """Return whether an entry is about an input of a node, or without one, about the node."""
    return loader_input.node_type == node_type and input_name in (None, loader_input.input)


async def _change_loaders(registry: RegistryApi, change: Callable[[Sequence[LoaderInput]], list[LoaderInput]]) -> bool:
    """Set the team's table to what ``change`` makes of it, and return whether it is another one.

    If someone else changes it meanwhile, it is read and changed again.

    Raises:
        LoadersChanged: it was changed by others at each attempt.
    """
    from modelyard.wire.problems import LoadersChanged
    from modelyard.wire.teams import TeamUpdate

    for attempt in range(_ATTEMPTS):
        present = (await registry.current_team()).loader_list
        changed = change(present)
        if changed == present:
            return False
        try:
            await registry.update_team(TeamUpdate(loader_list=changed, expected_loader_list=present))
        except LoadersChanged:
            if attempt == _ATTEMPTS - 1:
                raise
        else:
            break
    return True
