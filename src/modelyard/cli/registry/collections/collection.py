"""``collection``: list, show, create, change and remove named lists of models."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from modelyard.cli.commands import CLIENT_COMMANDS
from modelyard.cli.registry.collections.output import (
    format_collection,
    format_subscribed,
    print_changed,
    print_changes,
    print_collections,
    print_unchanged,
    print_versions,
    print_workflow_notes,
)
from modelyard.cli.registry.collections.replacing import ReplaceOptions, confirm_replacement
from modelyard.cli.registry.collections.rollouts import rollout
from modelyard.cli.registry.collections.subscriptions import CollectionName, add_subscription_commands
from modelyard.cli.registry.listing import find_and_change
from modelyard.cli.terminal.completion import complete_model
from modelyard.cli.terminal.terminal import Yes, terminal_of

if TYPE_CHECKING:
    from modelyard.cli.terminal.terminal import Terminal
    from modelyard.client.api.registry import RegistryApi
    from modelyard.client.collections import WorkflowModels
    from modelyard.wire.collections import (
        Collection,
        CollectionSummary,
        CollectionVersion,
        NewCollectionModel,
        Subscription,
    )
    from modelyard.wire.collections.changes import CollectionChanges

collection = typer.Typer(no_args_is_help=True, help=CLIENT_COMMANDS["collection"].help)

ModelNames = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="MODEL[@N]...", help="Paths, names or ids; MODEL@3 is its version 3.", autocompletion=complete_model
    ),
]
Workflows = Annotated[
    list[Path] | None,
    typer.Option("--from-workflow", metavar="FILE", help="Add the models that a workflow requires; may be repeated."),
]
Note = Annotated[str | None, typer.Option(help="What is new in the version.")]


def add_to(app: typer.Typer) -> None:
    """Add the group to the command tree."""
    add_subscription_commands(collection)
    collection.add_typer(rollout, name="rollout")
    app.add_typer(collection, name="collection")


@collection.command("create")
def create_collection(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="A name that no other collection of the team has.")],
    models: ModelNames = None,
    from_workflow: Workflows = None,
    note: Annotated[
        str | None, typer.Option(help="What the collection is for; without it, one that exists keeps its note.")
    ] = None,
    version_note: Annotated[
        str | None, typer.Option(help="If the collection exists: what is new in its next version.")
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="If the collection exists, make these models its next version.")
    ] = False,
    leave_out_missing: Annotated[
        bool,
        typer.Option("--leave-out-missing", help="With --replace: leave out models of workflows that the team lacks."),
    ] = False,
) -> None:
    """Create a collection of models at the versions that they have now.

    Models that a workflow of --from-workflow requires and that the team lacks are named, and left out. Those for which
    the team has other content than the workflow declares are named too. If a collection has this name already, its next
    version gets these models instead of those that it has, with --replace or after a question at a terminal. It stays
    as it is if no model is left, and with --replace if the team lacks one of a workflow, unless --leave-out-missing.

    Examples: modelyard collection create "Winter campaign" ink kaori@2; modelyard collection create Portraits
    --from-workflow portrait.json
    """
    from modelyard.client.collections import CollectionNotes, find_collection_named, merge_entries, replace_models
    from modelyard.wire.collections import NewCollection

    async def load(registry: RegistryApi) -> tuple[CollectionSummary | None, list[NewCollectionModel], WorkflowModels]:
        """Return the collection that has the name, the models, and what was found for workflows."""
        entries, required = await _find_models(registry, models or [], from_workflow or [])
        return await find_collection_named(registry, name), merge_entries([], entries), required

    terminal = terminal_of(context)
    existing, merged, required = terminal.call_registry(load)
    if existing is not None:
        print_workflow_notes(terminal, required)
        options = ReplaceOptions(replace, leave_out_missing)
        confirm_replacement(terminal, existing, len(merged), len(required.missing), options)

    async def write(registry: RegistryApi) -> Collection:
        """Create the collection or its next version, and return it."""
        if existing is not None:
            return await replace_models(registry, existing, merged, CollectionNotes(note, version_note))
        created = await registry.create_collection(NewCollection(name=name, note=note, model_list=merged))
        return await registry.get_collection(created.id)

    _print_written(terminal, existing, terminal.call_registry(write))
    if existing is None:
        print_workflow_notes(terminal, required)
        if version_note:
            terminal.output.note("--version-note was not used: it is for the next version of a collection that exists.")


def _print_written(terminal: Terminal, existing: CollectionSummary | None, written: Collection) -> None:
    """Print that a collection was created, or what changed in the one that existed."""
    if existing is None or written.version != existing.version:
        print_changed(terminal, written, "Created" if existing is None else "Changed")
    else:
        print_unchanged(terminal, written)
    if existing is not None and written.note != existing.note:
        terminal.output.note(f"Changed the note of '{written.name}'.")


async def _find_models(
    registry: RegistryApi, names: list[str], workflows: list[Path]
) -> tuple[list[NewCollectionModel], WorkflowModels]:
    """Return the entries for models by name and of workflows, and what was found for the workflows."""
    from modelyard.client.collections import build_entries, read_models_of_workflows
    from modelyard.client.resolve_models import find_model_versions

    found = build_entries(await find_model_versions(registry, names))
    required = await read_models_of_workflows(registry, workflows)
    # What is named explicitly takes precedence.
    return [*required.models, *found], required


@collection.command("ls")
def list_collections(context: typer.Context) -> None:
    """List the collections by name."""
    from modelyard.client.collections import list_all_collections

    terminal = terminal_of(context)
    print_collections(terminal, terminal.call_registry(list_all_collections))


@collection.command("show")
def show_collection(
    context: typer.Context,
    name: CollectionName,
    version: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Which of its versions; by default the newest.")
    ] = None,
) -> None:
    """Show the models of a collection, each with its version, and what is subscribed to it.

    Example: modelyard collection show "Winter campaign" --version 1
    """
    from modelyard.client.collections import find_collection, list_all_subscriptions

    async def load(registry: RegistryApi) -> tuple[Collection, CollectionVersion | None, list[Subscription]]:
        """Return the collection, the version if one is asked for, and the subscriptions."""
        found = await find_collection(registry, name)
        shown = None if version is None else await registry.get_collection_version(found.id, version)
        return found, shown, await list_all_subscriptions(registry, found.id)

    terminal = terminal_of(context)
    found, shown, subscribed = terminal.call_registry(load)
    of_version = {} if shown is None else {"id": found.id, "name": found.name} | shown.model_dump(mode="json")
    terminal.output.answer(
        document=(of_version or found.model_dump(mode="json")) | {"subscription_list": subscribed},
        lines=format_collection(found, shown, subscribed, terminal.output.width),
        quiet=[str(each.model_id) for each in (shown or found).model_list],
    )


@collection.command("versions")
def list_versions(context: typer.Context, name: CollectionName) -> None:
    """List the versions of a collection, newest first."""
    from modelyard.client.collections import find_collection, list_all_collection_versions

    terminal = terminal_of(context)
    found = terminal.call_registry(lambda registry: find_collection(registry, name))
    listed = terminal.call_registry(lambda registry: list_all_collection_versions(registry, found.id))
    print_versions(terminal, found, listed)


@collection.command("diff")
def compare_versions(
    context: typer.Context,
    name: CollectionName,
    first: Annotated[int | None, typer.Argument(metavar="A", min=1, help="By default the one before B.")] = None,
    second: Annotated[int | None, typer.Argument(metavar="B", min=1, help="By default the newest.")] = None,
) -> None:
    """Show what changed in a collection from its version A to its version B: models added, removed and changed.

    Examples: modelyard collection diff "Winter campaign"; modelyard collection diff "Winter campaign" 2 5
    """
    from modelyard.client.collections import find_collection

    async def compare(registry: RegistryApi) -> tuple[Collection, CollectionChanges]:
        """Return the collection and the changes."""
        found = await find_collection(registry, name)
        return found, await registry.get_collection_changes(found.id, second or found.version, since=first)

    terminal = terminal_of(context)
    print_changes(terminal, *terminal.call_registry(compare))


@collection.command("add")
def add_models(
    context: typer.Context,
    name: CollectionName,
    models: ModelNames = None,
    from_workflow: Workflows = None,
    note: Note = None,
) -> None:
    """Add models to a collection, which makes its next version; a model that it has gets the version named or present.

    Examples: modelyard collection add "Winter campaign" ink; modelyard collection add Portraits kaori@3 --note "Hands."
    """
    from modelyard.client.collections import change_models, find_collection, merge_entries

    async def add(registry: RegistryApi) -> tuple[Collection, Collection, WorkflowModels]:
        """Make the next version; return the collection before and after, and what was found for workflows."""
        found = await find_collection(registry, name)
        entries, required = await _find_models(registry, models or [], from_workflow or [])
        changed = await change_models(registry, found, merge_entries(found.model_list, entries), note)
        return found, changed, required

    terminal = terminal_of(context)
    if not models and not from_workflow:
        raise typer.BadParameter("Name at least one MODEL, or a workflow with --from-workflow.")
    found, changed, required = terminal.call_registry(add)
    if changed.version == found.version:
        print_unchanged(terminal, changed)
    else:
        print_changed(terminal, changed, "Changed")
    print_workflow_notes(terminal, required)


@collection.command("remove")
def remove_models(
    context: typer.Context,
    name: CollectionName,
    models: Annotated[list[str], typer.Argument(metavar="MODEL...", help="Paths, names or ids of models in it.")],
    note: Note = None,
) -> None:
    """Remove models from a collection, which makes its next version. The models themselves stay.

    Example: modelyard collection remove "Winter campaign" kaori
    """
    from modelyard.client.collections import change_models, find_collection, merge_entries, select_models

    async def remove(registry: RegistryApi) -> Collection:
        """Make the next version, and return the collection."""
        found = await find_collection(registry, name)
        removed = await select_models(found, models)
        kept = [each for each in found.model_list if each.model_id not in removed]
        return await change_models(registry, found, merge_entries(kept, []), note)

    terminal = terminal_of(context)
    print_changed(terminal, terminal.call_registry(remove), "Changed")


@collection.command("rename")
def rename_collection(
    context: typer.Context, name: CollectionName, new_name: Annotated[str, typer.Argument(help="Its new name.")]
) -> None:
    """Give a collection another name."""
    from modelyard.client.collections import find_collection
    from modelyard.wire.collections import CollectionUpdate

    terminal = terminal_of(context)
    found = find_and_change(
        terminal,
        lambda registry: find_collection(registry, name),
        lambda registry, found: registry.update_collection(found.id, CollectionUpdate(name=new_name)),
    )
    terminal.output.done(f"'{found.name}' is now '{new_name}'.", collection_id=found.id)


@collection.command("rm")
def remove_collection(context: typer.Context, name: CollectionName, yes: Yes = False) -> None:
    """Delete a collection with all of its versions. The models themselves stay in the registry.

    Subscribed machines lose the models that nothing else asks for.
    """
    from modelyard.client.collections import find_collection, list_all_subscriptions

    async def load(registry: RegistryApi) -> tuple[Collection, list[Subscription]]:
        """Return the collection and its subscriptions."""
        found = await find_collection(registry, name)
        return found, await list_all_subscriptions(registry, found.id)

    terminal = terminal_of(context)
    found, subscribed = terminal.call_registry(load)
    for line in format_subscribed(subscribed):
        terminal.output.note(line)
    if not yes:
        typer.confirm(f"Delete the collection '{found.name}' with its versions?", abort=True, err=True)
    terminal.call_registry(lambda registry: registry.delete_collection(found.id))
    terminal.output.done(f"Deleted the collection '{found.name}'.", collection_id=found.id)
