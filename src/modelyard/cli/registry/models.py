"""``ls``, ``show``, ``edit``, ``enable``, ``disable``, ``rm``, ``restore``: list and change the team's models."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from modelyard.cli.registry.listing import ListFormat, print_list
from modelyard.cli.terminal.formatting import escape_unprintable, format_age, format_fields, format_size, format_time
from modelyard.cli.terminal.new_types import NewType, confirm_new_types
from modelyard.cli.terminal.terminal import Terminal, Yes, terminal_of
from modelyard.comfyui.quoting import counted

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from modelyard.client.api.registry import Registry
    from modelyard.wire.agents import AgentModel
    from modelyard.wire.hashes import ModelHashes
    from modelyard.wire.model_filter import ModelFilter
    from modelyard.wire.models import Model
    from modelyard.wire.versions import PendingVersion

    ModelAction = Callable[[Registry, Model], Awaitable[None]]

_SHOWN = 50
ModelName = Annotated[
    str, typer.Argument(metavar="MODEL", help="A path, an id or its first 8 digits, or a name that only one model has.")
]
ModelNames = Annotated[
    list[str], typer.Argument(metavar="MODEL...", help="Ids, paths, or names that only one model has.")
]


def add_to(app: typer.Typer) -> None:
    """Add these commands to the command tree."""
    for command in (ls, show, edit, enable, disable, rm, restore):
        app.command()(command)


def ls(
    context: typer.Context,
    words: Annotated[
        list[str] | None, typer.Argument(help="Only models with all these words in name, path or tags, or as a hash.")
    ] = None,
    model_type: Annotated[str | None, typer.Option("--type", help="Only this type, such as loras.")] = None,
    tag: Annotated[str | None, typer.Option(help="Only with this tag.")] = None,
    status: Annotated[str | None, typer.Option(help="Only active or disabled ones.")] = None,
    verification: Annotated[str | None, typer.Option(help="Only pending, verified or failed ones.")] = None,
    file_hash: Annotated[str | None, typer.Option("--hash", help="Only with this hash, of any kind.")] = None,
    deleted: Annotated[bool, typer.Option("--deleted", help="List the trash instead.")] = False,
    sort: Annotated[
        str | None, typer.Option(help="created_at, display_name or file_size; with a - in front: descending.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help=f"All models, not only the first {_SHOWN}.")] = False,
) -> None:
    """List models, newest first.

    Examples: modelyard ls sdxl portrait --type loras; modelyard ls --sort=-file_size --all
    """
    from modelyard.wire.model_filter import ModelFilter

    options = {
        "q": " ".join(words) if words else None,
        "model_type": model_type,
        "model_status": status,
        "verification": verification,
        "tag": tag,
        "file_hash": file_hash,
        "deleted": deleted,
        "sort": sort,
    }
    model_filter = ModelFilter.model_validate({name: value for name, value in options.items() if value is not None})
    terminal = terminal_of(context)
    models, has_more = terminal.call_registry(lambda registry: _list_models(registry, model_filter, everything))
    headings = ("PATH", "NAME", "SIZE", "STATE", "DELETED" if deleted else "CHANGED", "ID")
    layout: ListFormat[Model] = ListFormat("model_list", headings, _build_row, lambda model: model.id, "No models.")
    print_list(terminal, models, layout, {"has_more": has_more})
    if has_more:
        terminal.output.note(f"These are the first {len(models)}. To list all: --all")


async def _list_models(registry: Registry, model_filter: ModelFilter, everything: bool) -> tuple[list[Model], bool]:
    """Return the first 50 models that match the filter, or with ``everything`` all, and whether there are more."""
    from modelyard.client.api.models import list_all_models
    from modelyard.client.api.paging import Paging

    if everything:
        return [model async for model in list_all_models(registry, model_filter)], False
    page = await registry.list_models(model_filter, Paging(per_page=_SHOWN))
    return page.model_list, page.page_meta.next_cursor is not None


def _build_row(model: Model) -> tuple[str, ...]:
    """Return the cells of a model: path, name, size, state, age of its deletion or else last change, and id."""
    return (
        model.model_path,
        model.display_name,
        format_size(model.file_size),
        _describe_state(model),
        format_age(model.deleted_at or model.updated_at),
        str(model.id),
    )


def _describe_state(model: Model) -> str:
    """Return whether a model is disabled, or else its verification; and the state of a newer version, if any."""
    state = "disabled" if model.model_status == "disabled" else model.verification
    newer = _find_newer_version(model)
    return state if newer is None else f"{state}, v{newer.version} {newer.verification}"


def _find_newer_version(model: Model) -> PendingVersion | None:
    """Return the version that is pending or failed beside the one that the record shows; None if there is none."""
    pending = model.pending_version
    return None if pending is None or pending.version == model.version else pending


def _format_newer_version(model: Model) -> str:
    """Return number and state of a pending or failed version beside the current one; empty if there is none."""
    newer = _find_newer_version(model)
    if newer is None:
        return ""
    if newer.verification == "failed":
        return f"{newer.version}, failed: {newer.verification_error or 'the registry gave no reason'}"
    return f"{newer.version}, being verified; machines keep version {model.version} until then"


def show(context: typer.Context, model: ModelName) -> None:
    """Show the details of one model, and its state on each machine that should have it."""
    from modelyard.cli.registry.machine import format_machine_lines, list_machines_of
    from modelyard.client.resolve_models import find_model

    async def load(registry: Registry) -> tuple[Model, ModelHashes, list[AgentModel]]:
        """Return the model, its hashes, and its state on each machine that should have it."""
        found = await find_model(registry, model)
        return found, await registry.get_model_hashes(found.id), await list_machines_of(registry, found)

    terminal = terminal_of(context)
    found, hashes, machines = terminal.call_registry(load)
    document = found.model_dump(mode="json") | {"hashes": hashes, "agent_model_list": machines}
    lines = [*_format_details(found, hashes), *format_machine_lines(machines)]
    terminal.output.answer(document=document, lines=lines, quiet=[str(found.id)])


def _format_details(model: Model, hashes: ModelHashes | None = None) -> list[str]:
    """Format a model's fields, hashes and metadata as ``name  value`` lines, and its description below them."""
    pairs = [
        ("id", str(model.id)),
        ("name", model.display_name),
        ("path", model.model_path),
        ("type", model.model_type),
        ("size", f"{format_size(model.file_size)} ({model.file_size} bytes)"),
        ("version", f"{model.version} ({counted(model.version_count, 'version')})"),
        ("new version", _format_newer_version(model)),
        ("hash", model.file_hash),
        ("", model.blake3_hash or ""),
        *([] if hashes is None else _list_other_hashes(hashes)),
        ("state", f"{model.model_status}, {model.verification}"),
        ("reason", model.verification_error or ""),
        ("registered", f"{format_time(model.created_at)} by {model.created_by.display_name} ({model.created_by.kind})"),
        ("changed", format_time(model.updated_at)),
        ("deleted", format_time(model.deleted_at)),
        ("tags", ", ".join(model.tags)),
        ("license", model.license or ""),
        ("source", model.source_url or ""),
        ("labels", ", ".join(model.required_labels)),
        ("machines", f"{model.agents_ready} of {model.agents_desired} have it" if model.agents_desired else ""),
        *((name.replace("_", " "), _format_metadata(value)) for name, value in model.metadata.items()),
    ]
    lines = format_fields([(escape_unprintable(name), value) for name, value in pairs])
    return lines if not model.description else [*lines, "", *model.description.splitlines()]


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
        list[str] | None, typer.Option(help="Set all tags, with one --tag for each; an empty tag clears them.")
    ] = None,
    add_tag: Annotated[list[str] | None, typer.Option(help="Add a tag; may be repeated.")] = None,
    remove_tag: Annotated[list[str] | None, typer.Option(help="Remove a tag; may be repeated.")] = None,
    license_name: Annotated[str | None, typer.Option("--license", help="The licence; an empty one clears it.")] = None,
    source_url: Annotated[str | None, typer.Option(help="Where it came from; an empty one clears it.")] = None,
    label: Annotated[
        list[str] | None,
        typer.Option(help="Set the labels that a machine needs, with one --label for each; an empty one clears them."),
    ] = None,
    new_type: NewType = False,
) -> None:
    """Change the details, the type or the path of a model. Its content stays the same.

    Example: modelyard edit ink --add-tag portrait --license CC-BY-4.0
    """
    values: dict[str, Any] = {
        "display_name": name,
        "model_type": model_type,
        "model_path": path,
        "description": description,
        "tags": tag,
        "license": license_name,
        "source_url": source_url,
        "required_labels": label,
    }
    change = {field: _null_if_empty(value) for field, value in values.items() if value is not None}
    terminal = terminal_of(context)
    confirm_new_types(terminal, [] if model_type is None else [model_type], is_accepted=new_type)
    changed = terminal.call_registry(
        lambda registry: _edit_model(registry, model, change, (add_tag or [], remove_tag or []))
    )
    terminal.output.answer(document=changed, lines=_format_details(changed), quiet=[str(changed.id)])


def _null_if_empty(value: str | list[str]) -> str | list[str] | None:
    """Return None for an empty text or a list of one empty text, since null clears a field at the registry."""
    return None if value in ("", [""]) else value


async def _edit_model(
    registry: Registry, name: str, change: dict[str, Any], tags: tuple[list[str], list[str]]
) -> Model:
    """Apply a change to a model, add and remove tags, and return the changed model.

    A new type without a new path moves the model to the same path below the new type's folder. Added and removed tags
    are applied to the tags in ``change``, or else to the model's; the former are written to ``change``.

    Raises:
        ValueError: there is nothing to change.
    """
    from modelyard.client.resolve_models import find_model
    from modelyard.wire.models import ModelUpdate

    model = await find_model(registry, name)
    added, removed = tags
    if added or removed:
        current = change.get("tags", model.tags) or []
        change["tags"] = [tag for tag in [*current, *added] if tag not in removed]
    if "model_type" in change and "model_path" not in change:
        relative = model.model_path.removeprefix("models/").partition("/")[2]
        change["model_path"] = f"models/{change['model_type']}/{relative}"
    if not change:
        raise ValueError("There is nothing to change. Give an option, such as --name or --add-tag.")
    await registry.update_model(model.id, ModelUpdate(**change))
    return await registry.get_model(model.id)


def enable(context: typer.Context, models: ModelNames) -> None:
    """Enable models again, so that machines get them."""
    _apply_to_models(
        terminal_of(context), models, lambda registry, model: _set_status(registry, model, "active"), "Enabled"
    )


def disable(context: typer.Context, models: ModelNames) -> None:
    """Disable models: they stay in the registry and are removed from every machine."""
    _apply_to_models(
        terminal_of(context), models, lambda registry, model: _set_status(registry, model, "disabled"), "Disabled"
    )


async def _set_status(registry: Registry, model: Model, status: str) -> None:
    """Set a model's status to ``active`` or ``disabled``."""
    from modelyard.wire.models import ModelUpdate

    await registry.update_model(model.id, ModelUpdate.model_validate({"model_status": status}))


def rm(context: typer.Context, models: ModelNames, yes: Yes = False) -> None:
    """Move models to the trash. They leave lists and machines at once, and can be restored for a while.

    Asks before it removes more than one model; a script passes --yes.

    Example: modelyard rm ink sketch --yes
    """
    terminal = terminal_of(context)
    if len(set(models)) > 1 and not yes:
        _confirm_removal(terminal, models)
    removed = _apply_to_models(terminal, models, lambda registry, model: registry.delete_model(model.id), "Removed")
    terminal.output.note(
        "The registry keeps removed models for 7 days, unless its operator has set another time. To restore them:"
    )
    terminal.output.note(f"  modelyard restore {' '.join(str(model.id) for model in removed)}")


def _confirm_removal(terminal: Terminal, names: list[str]) -> None:
    """List these models on standard error and ask whether to remove them.

    Raises:
        BadParameter: standard input is not a terminal, or the output is JSON, so that no question can be asked.
        Abort: the answer is no.
    """
    if terminal.output.style == "json" or not sys.stdin.isatty():
        raise typer.BadParameter(f"This removes {len(names)} models. To remove them without a question, add --yes.")
    for name in names:
        terminal.output.note(f"  {name}")
    typer.confirm(f"Remove these {len(names)} models?", abort=True, err=True)


def restore(context: typer.Context, models: ModelNames) -> None:
    """Restore models from the trash, which modelyard ls --deleted lists."""
    _apply_to_models(
        terminal_of(context), models, lambda registry, model: registry.restore_model(model.id), "Restored", deleted=True
    )


def _apply_to_models(
    terminal: Terminal, names: list[str], action: ModelAction, verb: str, *, deleted: bool = False
) -> list[Model]:
    """Apply an action to models, print each model with ``verb``, and return them as they were before.

    All names are looked up first: if one matches no model, nothing is changed. If the action fails for a model, those
    before it stay changed. With ``deleted``, they are names of models in the trash.
    """
    from modelyard.client.resolve_models import find_model

    async def apply(registry: Registry) -> list[Model]:
        """Find all models, then apply the action to one after the other."""
        models = [await find_model(registry, name, deleted=deleted) for name in names]
        for model in models:
            await action(registry, model)
        return models

    models = terminal.call_registry(apply)
    terminal.output.answer(
        document={"is_success": True, "model_ids": [model.id for model in models]},
        lines=[f"{verb} {model.model_path}" for model in models],
        quiet=[str(model.id) for model in models],
    )
    return models
