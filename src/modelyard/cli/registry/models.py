"""``show``, ``edit``, ``enable``, ``disable``, ``rm``, ``restore``: show and change the team's models."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from modelyard.cli.registry.listing import change_each
from modelyard.cli.registry.model_columns import describe_verification, find_newer_version
from modelyard.cli.terminal.completion import complete_model
from modelyard.cli.terminal.formatting import (
    escape_unprintable,
    format_fields,
    format_model_path,
    format_size,
    format_time,
    quote_word,
    shorten_path,
)
from modelyard.cli.terminal.model_details import (
    METADATA_NAMES,
    OWN_LINES,
    AuthorOption,
    BaseModelOption,
    LicenseOption,
    TriggerWordsOption,
    change_tags,
    format_model_details,
    split_tags,
    split_words,
    warn_of_near_miss,
)
from modelyard.cli.terminal.new_types import NewType, confirm_new_types
from modelyard.cli.terminal.terminal import Terminal, Yes, terminal_of
from modelyard.comfyui.quoting import counted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from modelyard.client.api.registry import RegistryApi
    from modelyard.wire.agents.replicas import AgentModel
    from modelyard.wire.hashes.lookups import ModelHashes
    from modelyard.wire.models import Model

# Fields that cannot be cleared.
_NEVER_NULL = ("display_name", "model_type", "model_path")

ModelName = Annotated[
    str,
    typer.Argument(
        metavar="MODEL",
        help="A path, an id or the start that modelyard ls prints, or a name that only one model has.",
        autocompletion=complete_model,
    ),
]
NoTriggerWords = Annotated[bool, typer.Option("--no-trigger-words", help="State that it has no trigger words.")]
ModelNames = Annotated[
    list[str],
    typer.Argument(
        metavar="MODEL...", help="Ids, paths, or names that only one model has.", autocompletion=complete_model
    ),
]


def add_to(app: typer.Typer) -> None:
    """Add these commands to the command tree."""
    for command in (show, edit, enable, disable, rm, restore):
        app.command()(command)


def _format_newer_version(model: Model) -> str:
    """Return number and state of a pending or failed version beside the current one; empty if there is none."""
    newer = find_newer_version(model)
    if newer is None:
        return ""
    if newer.verification == "failed":
        return f"{newer.version}, failed: {newer.verification_error or 'the registry gave no reason'}"
    if newer.verification_error:
        return f"{newer.version}, not verified yet: {newer.verification_error}"
    return f"{newer.version}, being verified; machines keep version {model.version} until then"


def show(
    context: typer.Context,
    model: ModelName,
    training_tags: Annotated[
        bool, typer.Option("--training-tags", help="All tags of its training pictures, not only the first three.")
    ] = False,
) -> None:
    """Show the details of one model, and its state on each machine that should have it."""
    from modelyard.cli.registry.machines.output import format_machine_lines, list_machines_of
    from modelyard.client.resolve_models import find_model

    async def load(registry: RegistryApi) -> tuple[Model, ModelHashes, list[AgentModel]]:
        """Return the model, its hashes, and its state on each machine that should have it."""
        # Only the record of a single model has its training tags.
        found = await registry.get_model((await find_model(registry, model)).id)
        return found, await registry.get_model_hashes(found.id), await list_machines_of(registry, found)

    terminal = terminal_of(context)
    found, hashes, machines = terminal.call_registry(load)
    document = found.model_dump(mode="json") | {"hashes": hashes, "agent_model_list": machines}
    details = _format_details(found, hashes, all_tags=training_tags)
    lines = [*details, *format_machine_lines(machines, terminal.output.width)]
    terminal.output.answer(document=document, lines=lines, quiet=[str(found.id)])


def _describe_machines(model: Model) -> str:
    """Return ``2 of 3 have it (1 not loaded)``, or an empty string if no machine should have the model."""
    unloaded = f" ({model.agents_unloaded} not loaded)" if model.agents_unloaded else ""
    return f"{model.agents_ready} of {model.agents_desired} have it{unloaded}" if model.agents_desired else ""


def _format_details(model: Model, hashes: ModelHashes | None = None, *, all_tags: bool = False) -> list[str]:
    """Format a model's fields, hashes and metadata as ``name  value`` lines, and its description below them."""
    pairs = [
        ("id", str(model.id)),
        ("name", model.display_name),
        ("path", format_model_path(model.model_path)),
        ("type", model.model_type),
        ("size", f"{format_size(model.content_size)} ({model.content_size} bytes)"),
        ("folder", "" if model.file_count is None else counted(model.file_count, "file")),
        *format_model_details(model, all_tags=all_tags),
        ("version", f"{model.version} ({counted(model.version_count, 'version')})"),
        ("new version", _format_newer_version(model)),
        ("hash", model.file_hash),
        ("", model.blake3_hash or ""),
        *([] if hashes is None else _list_other_hashes(hashes)),
        ("state", f"{model.model_status}, {describe_verification(model)}"),
        ("reason", model.verification_error or ""),
        ("repair", _describe_repair(model)),
        ("registered", f"{format_time(model.created_at)} by {model.created_by.display_name} ({model.created_by.kind})"),
        ("changed", format_time(model.updated_at)),
        ("deleted", format_time(model.deleted_at)),
        ("tags", ", ".join(model.tags)),
        ("source", model.source_url or ""),
        ("converted from", _describe_origin(model)),
        (
            "hugging face",
            "" if model.hub_file is None else f"{model.hub_file.repository} {model.hub_file.path}".rstrip(),
        ),
        ("labels", ", ".join(model.required_labels)),
        ("machines", _describe_machines(model)),
        *(
            (METADATA_NAMES.get(name, name.replace("_", " ")), _format_metadata(value))
            for name, value in model.metadata.items()
            if name not in OWN_LINES
        ),
    ]
    lines = format_fields([(escape_unprintable(name), value) for name, value in pairs])
    return lines if not model.description else [*lines, "", *model.description.splitlines()]


def _describe_origin(model: Model) -> str:
    """Return the id and version of the model that this one was converted from; empty if it was not converted."""
    origin = model.derived_from
    return "" if origin is None else f"{origin.model_id}, version {origin.version}, {origin.file_hash}"


def _describe_repair(model: Model) -> str:
    """Return how a model's damaged current version is repaired in place; empty if it is not damaged."""
    what = "DIR --as-folder" if model.is_folder else "FILE"
    command = f"modelyard push {what} --path {quote_word(shorten_path(model.model_path))}"
    return f"Push an intact copy: {command}" if model.is_damaged else ""


def _list_other_hashes(hashes: ModelHashes) -> list[tuple[str, str]]:
    """Return the known hashes that the model itself does not have, and those that only its file claims."""
    names = ("autov1", "autov2", "autov3", "crc32")
    known = [("", f"{name}:{digest}") for name in names if (digest := getattr(hashes, name)) is not None]
    return known + [("claimed hash", f"{claim.digest} ({claim.name}, not checked)") for claim in hashes.claim_list]


def _format_metadata(value: Any) -> str:
    """Format a metadata value as one text; of a list or object only the first 20 entries, of null an empty text."""
    match value:
        case None | [] | {}:
            return ""
        case list():
            return ", ".join(map(_format_metadata, value[:20]))
        case dict():
            return ", ".join(f"{name} {_format_metadata(each)}" for name, each in list(value.items())[:20])
        case _:
            return str(value)


def edit(
    context: typer.Context,
    model: ModelName,
    name: Annotated[str | None, typer.Option(help="A new display name.")] = None,
    model_type: Annotated[str | None, typer.Option("--type", help="A new type; the path changes with it.")] = None,
    path: Annotated[str | None, typer.Option(help="A new path on every machine.")] = None,
    description: Annotated[str | None, typer.Option(help="Free text; an empty one clears it.")] = None,
    tag: Annotated[
        list[str] | None,
        typer.Option(help="Set all tags, with commas or one --tag for each; an empty tag clears them."),
    ] = None,
    add_tag: Annotated[list[str] | None, typer.Option(help="Add a tag, or several with commas.")] = None,
    remove_tag: Annotated[list[str] | None, typer.Option(help="Remove a tag, or several with commas.")] = None,
    license_name: LicenseOption = None,
    author: AuthorOption = None,
    source_url: Annotated[str | None, typer.Option(help="Where it came from; an empty one clears it.")] = None,
    base_model: BaseModelOption = None,
    trigger_words: TriggerWordsOption = None,
    no_trigger_words: NoTriggerWords = False,
    label: Annotated[
        list[str] | None,
        typer.Option(help="Set the labels that a machine needs, with one --label for each; an empty one clears them."),
    ] = None,
    new_type: NewType = False,
) -> None:
    """Change the details, the type or the path of a model. Its content stays the same.

    Examples: modelyard edit ink --add-tag portrait --license CC-BY-4.0; modelyard edit ink --base-model Pony
    --trigger-words "inkwash, ink wash style"
    """
    values: dict[str, Any] = {
        "display_name": name,
        "model_type": model_type,
        "model_path": path,
        "description": description,
        "tags": None if tag is None else split_tags(tag),
        "license": license_name,
        "author": author,
        "source_url": source_url,
        "base_model": base_model,
        "trigger_words": None if trigger_words is None else split_words(trigger_words),
        "required_labels": label,
    }
    change = _build_change(values)
    if no_trigger_words:
        change["trigger_words"] = []
    terminal = terminal_of(context)
    confirm_new_types(terminal, [] if model_type is None else [model_type], is_accepted=new_type)
    warn_of_near_miss(terminal.output, base_model)
    changed, absent = terminal.call_registry(
        lambda registry: _edit_model(registry, model, change, (add_tag or [], remove_tag or []))
    )
    _note_absent(terminal, absent)
    terminal.output.answer(document=changed, lines=_format_details(changed), quiet=[str(changed.id)])


def _note_absent(terminal: Terminal, tags: Sequence[str]) -> None:
    """Print which tags were to be removed from a model that does not have them."""
    if tags:
        names = " or ".join(f"'{tag}'" for tag in tags)
        terminal.output.note(f"The model has no tag {names} to remove.")


def _build_change(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of options that are given; empty ones clear a field that may be null."""
    given = {field: value for field, value in values.items() if value is not None}
    return {field: value if field in _NEVER_NULL else _null_if_empty(value) for field, value in given.items()}


def _null_if_empty(value: str | list[str]) -> str | list[str] | None:
    """Return None for an empty text or a list of one empty text, since null clears a field at the registry."""
    return None if value in ("", [""]) else value


async def _edit_model(
    registry: RegistryApi, name: str, change: dict[str, Any], tags: tuple[list[str], list[str]]
) -> tuple[Model, list[str]]:
    """Apply a change to a model, add and remove tags, and return the changed model, and removed tags that it lacked.

    A new type without a new path moves the model to the same path below the new type's folder. Added and removed tags
    are applied to the tags in ``change``, or else to those that the model has then.

    Raises:
        ValueError: there is nothing to change.
    """
    from modelyard.client.api.models import change_model
    from modelyard.client.resolve_models import find_model
    from modelyard.wire.models import ModelUpdate

    if not change and not any(tags):
        raise ValueError("There is nothing to change. Give an option, such as --name or --add-tag.")
    model = await find_model(registry, name)
    if not any(tags) and "model_type" not in change:
        await registry.update_model(model.id, ModelUpdate(**change))
        return await registry.get_model(model.id), []
    _, absent = change_tags(change.get("tags", model.tags) or [], *tags)
    complete = partial(_complete_change, change=change, tags=tags)
    return await change_model(registry, model.id, lambda model: ModelUpdate(**complete(model))), absent


def _complete_change(model: Model, change: dict[str, Any], tags: tuple[list[str], list[str]]) -> dict[str, Any]:
    """Return a change with the tags and the path that follow from those of the model."""
    derived: dict[str, Any] = {}
    if any(tags):
        derived["tags"], _ = change_tags(change.get("tags", model.tags) or [], *tags)
    if "model_type" in change and "model_path" not in change:
        relative = model.model_path.removeprefix("models/").partition("/")[2]
        derived["model_path"] = f"models/{change['model_type']}/{relative}"
    return change | derived


def enable(context: typer.Context, models: ModelNames) -> None:
    """Enable models again, so that machines get them."""
    _set_status(terminal_of(context), models, "active", "Enabled")


def disable(context: typer.Context, models: ModelNames) -> None:
    """Disable models: they stay in the registry and are removed from every machine."""
    _set_status(terminal_of(context), models, "disabled", "Disabled")


def _set_status(terminal: Terminal, names: list[str], status: str, verb: str) -> None:
    """Set the status of models to ``active`` or ``disabled``, and print each with ``verb``."""
    from modelyard.client.resolve_models import find_models
    from modelyard.wire.models import ModelUpdate

    change = ModelUpdate.model_validate({"model_status": status})
    found = terminal.call_registry(lambda registry: find_models(registry, names))
    change_each(terminal, found, lambda registry, model: registry.update_model(model.id, change), f"{verb} {{}}".format)


def rm(
    context: typer.Context,
    models: ModelNames,
    yes: Yes = False,
    force: Annotated[
        bool, typer.Option("--force", help="Remove models that machines hold by a pinned collection, too.")
    ] = False,
) -> None:
    """Move models to the trash. They leave lists and machines at once, and can be restored for a while.

    Says which collections have them. Asks before it removes more than one model, or at a terminal one that is in a
    collection; a script passes --yes. A model of a pinned collection to which machines are subscribed is removed only
    with --force.

    Example: modelyard rm ink sketch --yes
    """
    from modelyard.client.resolve_models import find_models

    terminal = terminal_of(context)
    found = terminal.call_registry(lambda registry: find_models(registry, models))
    is_used = _note_collections(terminal, found)
    if not yes and (len(found) > 1 or (is_used and terminal.can_ask)):
        _confirm_removal(terminal, found)
    change_each(
        terminal,
        found,
        lambda registry, model: registry.delete_model(model.id, force=force),
        "Removed {}".format,
        partial(_note_restore, terminal),
    )


def _note_restore(terminal: Terminal, removed: Sequence[Model]) -> None:
    """Print on standard error how long removed models are kept, and the command that restores them."""
    from modelyard.client.references.short_ids import shorten_ids

    terminal.output.note(
        "The registry keeps removed models for 7 days, unless its operator has set another time. To restore them:"
    )
    short_ids = shorten_ids([model.id for model in removed])
    terminal.output.note("  " + terminal.format_command("restore", *(short_ids[model.id] for model in removed)))


def _note_collections(terminal: Terminal, models: Sequence[Model]) -> bool:
    """Print on standard error which collections have these models; return whether any has."""
    from modelyard.cli.registry.collections.output import describe_use
    from modelyard.client.collections import list_collections_with

    async def load(registry: RegistryApi) -> list[str]:
        """Return a line for each model and collection."""
        return [
            f"{format_model_path(model.model_path)} is in {describe_use(each)}."
            for model in models
            for each in await list_collections_with(registry, model.id)
        ]

    lines = terminal.call_registry(load)
    for line in lines:
        terminal.output.note(line)
    return bool(lines)


def _confirm_removal(terminal: Terminal, models: Sequence[Model]) -> None:
    """List these models on standard error and ask whether to remove them.

    Raises:
        BadParameter: standard input is not a terminal, or the output is JSON, so that no question can be asked.
        Abort: the answer is no.
    """
    if not terminal.can_ask:
        raise typer.BadParameter(f"This removes {len(models)} models. To remove them without a question, add --yes.")
    for model in models:
        terminal.output.note(f"  {format_model_path(model.model_path)}")
    typer.confirm(
        f"Remove {'this model' if len(models) == 1 else f'these {len(models)} models'}?", abort=True, err=True
    )


def restore(context: typer.Context, models: ModelNames) -> None:
    """Restore models from the trash, which modelyard ls --deleted lists."""
    from modelyard.client.resolve_models import find_models

    terminal = terminal_of(context)
    found = terminal.call_registry(lambda registry: find_models(registry, models, deleted=True))
    change_each(terminal, found, lambda registry, model: registry.restore_model(model.id), "Restored {}".format)
