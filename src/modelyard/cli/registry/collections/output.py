"""Print collections, their versions and models."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelyard.cli.registry.listing import ListFormat, print_list
from modelyard.cli.terminal.formatting import format_age, format_fields, format_model_path, format_size, format_time
from modelyard.cli.terminal.table import format_table
from modelyard.comfyui.quoting import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from modelyard.cli.terminal.colors import Line
    from modelyard.cli.terminal.terminal import Terminal
    from modelyard.client.collections import WorkflowModels
    from modelyard.wire.collections import (
        Collection,
        CollectionModel,
        CollectionOfModel,
        CollectionSummary,
        CollectionVersion,
        CollectionVersionSummary,
        Subscription,
    )
    from modelyard.wire.collections.changes import CollectionChanges, ListedModel


def print_collections(terminal: Terminal, listed: Sequence[CollectionSummary]) -> None:
    """Print a table of collections."""
    layout: ListFormat[CollectionSummary] = ListFormat(
        "collection_list",
        ("NAME", "VERSION", "PINNED", "MODELS", "CREATED BY", "CHANGED", "ID"),
        _build_row,
        lambda each: each.id,
        "No collections. Create one: modelyard collection create NAME MODEL...",
    )
    print_list(terminal, listed, layout)


def _build_row(each: CollectionSummary) -> tuple[str, ...]:
    """Return the cells of a collection."""
    numbers = str(each.version), "pinned" if each.is_pinned else "", str(each.model_count)
    return each.name, *numbers, each.created_by.display_name, format_age(each.updated_at), str(each.id)


def print_versions(terminal: Terminal, found: Collection, listed: Sequence[CollectionVersionSummary]) -> None:
    """Print a table of a collection's versions."""
    layout: ListFormat[CollectionVersionSummary] = ListFormat(
        "version_list",
        ("VERSION", "MODELS", "BY", "CREATED", "NOTE"),
        _build_version_row,
        lambda each: each.version,
        "No versions.",
    )
    print_list(terminal, listed, layout, {"collection_id": found.id, "name": found.name})


def _build_version_row(each: CollectionVersionSummary) -> tuple[str, ...]:
    """Return the cells of a version of a collection."""
    note = " ".join((each.note or "").split())
    return str(each.version), str(each.model_count), each.created_by.display_name, format_age(each.created_at), note


def format_collection(
    found: Collection, version: CollectionVersion | None, subscribed: Sequence[Subscription], width: int | None
) -> list[str | Line]:
    """Format a collection, what is subscribed to it, and the models of its newest or another version.

    ``width`` is as in ``format_table``.
    """
    shown = version or found
    total = sum(each.file_size for each in shown.model_list)
    created = f"{format_time(found.created_at)} by {found.created_by.display_name} ({found.created_by.kind})"
    pairs = [
        ("id", str(found.id)),
        ("name", found.name),
        ("note", " ".join((found.note or "").split())),
        ("version", f"{shown.version} of {found.version}" if version else str(found.version)),
        ("pinned", "subscribed machines hold these versions" if found.is_pinned else ""),
        ("in it", " ".join((version.note or "").split()) if version else ""),
        ("models", f"{len(shown.model_list)} ({format_size(total)})"),
        ("created", created),
        ("held", "new versions wait for a roll-out" if found.is_held else ""),
        ("rolled out", _describe_rolled_out(found)),
        ("labels", ", ".join(each.label for each in subscribed if each.label)),
        ("machines", ", ".join(each.agent_id for each in subscribed if each.agent_id)),
    ]
    if not shown.model_list:
        return [*format_fields(pairs)]
    rows = [_build_model_row(each) for each in shown.model_list]
    return [*format_fields(pairs), "", *format_table(("MODEL", "VERSION", "SIZE", "NOTE"), rows, width)]


def _describe_rolled_out(found: Collection) -> str:
    """Return which version subscribed machines get, if it is not the newest; else nothing."""
    if found.rolled_out_version == found.version:
        return ""
    return f"version {found.rolled_out_version}: subscribed machines get the newest by a roll-out"


def _build_model_row(each: CollectionModel) -> tuple[str, ...]:
    """Return the cells of a model of a collection."""
    return format_model_path(each.model_path), str(each.version), format_size(each.file_size), _describe_change(each)


def _describe_change(each: CollectionModel) -> str:
    """Return what became of the model since it was added; empty if it still has this version."""
    if each.current_version is None:
        return "the model was deleted"
    if not each.is_available:
        return "this version was deleted"
    return "" if each.current_version == each.version else f"the model has version {each.current_version} now"


def print_changed(terminal: Terminal, changed: Collection, verb: str) -> None:
    """Print that a collection was created or has a new version."""
    models = counted(len(changed.model_list), "model")
    line = f"{verb} '{changed.name}': version {changed.version} with {models}."
    terminal.output.answer(document=changed, lines=[line], quiet=[str(changed.id)])


def print_unchanged(terminal: Terminal, found: Collection) -> None:
    """Print that a collection has the models to add already."""
    line = f"'{found.name}' has these models already, in version {found.version}."
    terminal.output.answer(document=found, lines=[line], quiet=[str(found.id)])


def print_workflow_notes(terminal: Terminal, required: WorkflowModels) -> None:
    """Print which models of workflows the team lacks, and for which names it has other content."""
    if required.missing:
        terminal.output.note(f"The team lacks {counted(len(required.missing), 'model')} of the workflow, left out:")
    for name in required.missing:
        terminal.output.note(f"  {name}")
    if required.other_content:
        terminal.output.note("The team has other content than the workflow declares, which was taken, for:")
    for name in required.other_content:
        terminal.output.note(f"  {name}")


def format_subscribed(subscribed: Sequence[Subscription]) -> list[str]:
    """Return the lines that name what is subscribed to a collection that is to be deleted; none without any."""
    if not subscribed:
        return []
    targets = (
        f"machines with the label '{each.label}'" if each.label else f"the machine '{each.agent_id}'"
        for each in subscribed
    )
    return [
        "Machines lose the models of the collection that nothing else asks for. Subscribed:",
        *(f"  {each}" for each in targets),
    ]


def describe_use(use: CollectionOfModel) -> str:
    """Return which collection has a model, and in which version, unless that is the newest one only."""
    name = f"the collection '{use.name}'"
    newest, *older = use.version_list
    if not newest.is_newest:
        listed = " and ".join(str(each.version) for each in use.version_list)
        return f"{name}, in version {listed}, which subscribed machines get; its newest version does not have it"
    if older:
        listed = " and ".join(str(each.version) for each in older)
        return f"{name}, also in version {listed}, which subscribed machines get"
    return name


def print_changes(terminal: Terminal, found: Collection, changes: CollectionChanges) -> None:
    """Print what changed from one version of a collection to another."""
    rows = [
        *(_build_change_row("added", each) for each in changes.added_list),
        *(_build_change_row("removed", each) for each in changes.removed_list),
        *(_build_change_row("changed", each, each.previous_version) for each in changes.changed_list),
    ]
    since = "nothing" if changes.since is None else f"version {changes.since}"
    lines: list[str | Line] = [f"'{found.name}': version {changes.version} compared with {since}."]
    if rows:
        lines += ["", *format_table(("CHANGE", "MODEL", "VERSION", "SIZE", "SHA-256"), rows, terminal.output.width)]
    else:
        lines.append("Both have the same models.")
    listed = (*changes.added_list, *changes.removed_list, *changes.changed_list)
    terminal.output.answer(document=changes, lines=lines, quiet=[str(each.model_id) for each in listed])


def _build_change_row(change: str, each: ListedModel, previous: int | None = None) -> tuple[str, ...]:
    """Return the cells of a model that was changed; ``previous`` is the version that it had."""
    version = str(each.version) if previous is None else f"{previous} -> {each.version}"
    digest = each.file_hash.removeprefix("sha256:")[:12]
    return change, format_model_path(each.model_path), version, format_size(each.file_size), digest
