"""``ls``, ``show``, ``edit``, ``enable``, ``disable``, ``rm``, ``restore``: the models that the team has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from modelyard.cli.terminal import Terminal, terminal_of
from modelyard.cli.words import age_words, fields, harmless, size_words, table, time_words

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from modelyard.client.filters import ModelFilter
    from modelyard.client.registry import Registry
    from modelyard.wire.agents import AgentModel
    from modelyard.wire.models import Model, ModelList

    Work = Callable[[Registry, Model], Awaitable[None]]

_SHOWN = 50
ModelName = Annotated[str, typer.Argument(metavar="MODEL", help="An id, a path, or a name that only one model has.")]
ModelNames = Annotated[
    list[str], typer.Argument(metavar="MODEL...", help="Ids, paths, or names that only one model has.")
]


def add_to(app: typer.Typer) -> None:
    for command in (ls, show, edit, enable, disable, rm, restore):
        app.command()(command)


def ls(
    context: typer.Context,
    words: Annotated[
        list[str] | None, typer.Argument(help="Only models with all these words in name, path or tags.")
    ] = None,
    model_type: Annotated[str | None, typer.Option("--type", help="Only this type, such as loras.")] = None,
    tag: Annotated[str | None, typer.Option(help="Only with this tag.")] = None,
    status: Annotated[str | None, typer.Option(help="Only active or disabled ones.")] = None,
    verification: Annotated[str | None, typer.Option(help="Only pending, verified or failed ones.")] = None,
    file_hash: Annotated[str | None, typer.Option("--hash", help="Only these bytes: sha256:…")] = None,
    deleted: Annotated[bool, typer.Option("--deleted", help="The trash instead.")] = False,
    sort: Annotated[
        str | None, typer.Option(help="created_at, display_name or file_size; with a - in front: descending.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help=f"All of them, not only the first {_SHOWN}.")] = False,
) -> None:
    """List models, newest first.

    Examples: modelyard ls sdxl portrait --type loras; modelyard ls --sort=-file_size --all
    """
    from modelyard.client.filters import ModelFilter

    wanted = ModelFilter(
        q=" ".join(words) if words else None,
        model_type=model_type,
        model_status=status,
        verification=verification,
        tag=tag,
        file_hash=file_hash,
        deleted=deleted or None,
        sort=sort,
    )
    terminal = terminal_of(context)
    found, more = terminal.ask(lambda registry: _listed(registry, wanted, everything))
    headings = ("PATH", "NAME", "SIZE", "STATE", "DELETED" if deleted else "CHANGED", "ID")
    lines = table(headings, [_row(model) for model in found]) if found else ["No models."]
    terminal.output.answer(
        document={"model_list": found, "has_more": more}, lines=lines, quiet=[str(model.id) for model in found]
    )
    if more:
        terminal.output.note(f"These are the first {len(found)}. All of them: --all")


async def _listed(registry: Registry, wanted: ModelFilter, everything: bool) -> tuple[list[Model], bool]:
    from modelyard.client.paging import Paging, every_page

    if not everything:
        page = await registry.list_models(wanted, Paging(per_page=_SHOWN))
        return page.model_list, page.page_meta.next_cursor is not None

    async def ask(paging: Paging) -> ModelList:
        return await registry.list_models(wanted, paging)

    return [model async for page in every_page(ask) for model in page.model_list], False


def _row(model: Model) -> tuple[str, ...]:
    changed = model.deleted_at or model.updated_at
    return (
        model.model_path,
        model.display_name,
        size_words(model.file_size),
        _state(model),
        age_words(changed),
        str(model.id),
    )


def _state(model: Model) -> str:
    return "disabled" if model.model_status == "disabled" else model.verification


def show(context: typer.Context, model: ModelName) -> None:
    """Show all that is known of one model, and which machines have it."""
    from modelyard.cli.agents import machine_lines, machines_of
    from modelyard.client.lookup import find_model

    async def work(registry: Registry) -> tuple[Model, list[AgentModel]]:
        found = await find_model(registry, model)
        return found, await machines_of(registry, found)

    terminal = terminal_of(context)
    found, machines = terminal.ask(work)
    document = found.model_dump(mode="json") | {"agent_model_list": machines}
    lines = [*_described(found), *machine_lines(machines)]
    terminal.output.answer(document=document, lines=lines, quiet=[str(found.id)])


def _described(model: Model) -> list[str]:
    pairs = [
        ("id", str(model.id)),
        ("name", model.display_name),
        ("path", model.model_path),
        ("type", model.model_type),
        ("size", f"{size_words(model.file_size)} ({model.file_size} bytes)"),
        ("hash", model.file_hash),
        ("", model.blake3_hash or ""),
        ("state", f"{model.model_status}, {model.verification}"),
        ("why", model.verification_error or ""),
        ("registered", f"{time_words(model.created_at)} by {model.created_by.display_name} ({model.created_by.kind})"),
        ("changed", time_words(model.updated_at)),
        ("deleted", time_words(model.deleted_at)),
        ("tags", ", ".join(model.tags)),
        ("license", model.license or ""),
        ("source", model.source_url or ""),
        ("labels", ", ".join(model.required_labels)),
        ("machines", f"{model.agents_ready} of {model.agents_wanted} have it" if model.agents_wanted else ""),
        *((name.replace("_", " "), _short(value)) for name, value in model.metadata.items()),
    ]
    lines = fields([(harmless(name), value) for name, value in pairs])
    return lines if not model.description else [*lines, "", *model.description.splitlines()]


def _short(value: Any) -> str:
    match value:
        case None | [] | {}:
            return ""
        case list():
            return ", ".join(map(_short, value[:20]))
        case dict():
            return ", ".join(f"{name} {_short(each)}" for name, each in list(value.items())[:20])
        case _:
            return str(value)


def edit(
    context: typer.Context,
    model: ModelName,
    name: Annotated[str | None, typer.Option(help="A new display name.")] = None,
    model_type: Annotated[str | None, typer.Option("--type", help="A new type; the path changes with it.")] = None,
    path: Annotated[str | None, typer.Option(help="A new path on every machine.")] = None,
    description: Annotated[str | None, typer.Option(help="Free text; empty clears.")] = None,
    tag: Annotated[list[str] | None, typer.Option(help="All its tags, one --tag each; one empty tag clears.")] = None,
    add_tag: Annotated[list[str] | None, typer.Option(help="One more tag.")] = None,
    remove_tag: Annotated[list[str] | None, typer.Option(help="One tag less.")] = None,
    license_name: Annotated[str | None, typer.Option("--license", help="Its licence; empty clears.")] = None,
    source_url: Annotated[str | None, typer.Option(help="Where it came from; empty clears.")] = None,
    label: Annotated[
        list[str] | None, typer.Option(help="All labels that a machine needs; one empty label clears.")
    ] = None,
) -> None:
    """Change what is said about a model, or where machines hold it. Its bytes stay.

    Example: modelyard edit ink --add-tag portrait --license CC-BY-4.0
    """
    asked: dict[str, Any] = {
        "display_name": name,
        "model_type": model_type,
        "model_path": path,
        "description": description,
        "tags": tag,
        "license": license_name,
        "source_url": source_url,
        "required_labels": label,
    }
    change = {field: _cleared(value) for field, value in asked.items() if value is not None}
    terminal = terminal_of(context)
    changed = terminal.ask(lambda registry: _edited(registry, model, change, (add_tag or [], remove_tag or [])))
    terminal.output.answer(document=changed, lines=_described(changed), quiet=[str(changed.id)])


def _cleared(value: str | list[str]) -> str | list[str] | None:
    """Empty means null, which clears a field."""
    return None if value in ("", [""]) else value


async def _edited(registry: Registry, name: str, change: dict[str, Any], tags: tuple[list[str], list[str]]) -> Model:
    from modelyard.client.lookup import find_model
    from modelyard.wire.models import ModelChange

    model = await find_model(registry, name)
    more, less = tags
    if more or less:
        known = change.get("tags", model.tags) or []
        change["tags"] = [tag for tag in [*known, *more] if tag not in less]
    if "model_type" in change and "model_path" not in change:
        below = model.model_path.removeprefix("models/").partition("/")[2]
        change["model_path"] = f"models/{change['model_type']}/{below}"
    if not change:
        raise ValueError("Say what to change, for instance --name or --add-tag.")
    await registry.update_model(model.id, ModelChange(**change))
    return await registry.get_model(model.id)


def enable(context: typer.Context, models: ModelNames) -> None:
    """Let machines have these models again."""
    _each(terminal_of(context), models, lambda registry, model: _with_status(registry, model, "active"), "Enabled")


def disable(context: typer.Context, models: ModelNames) -> None:
    """Keep these models in the catalogue and take them from every machine."""
    _each(terminal_of(context), models, lambda registry, model: _with_status(registry, model, "disabled"), "Disabled")


async def _with_status(registry: Registry, model: Model, status: str) -> None:
    from modelyard.wire.models import ModelChange

    await registry.update_model(model.id, ModelChange.model_validate({"model_status": status}))


def rm(context: typer.Context, models: ModelNames) -> None:
    """Delete models: gone from lists and machines at once, kept in the trash for a while."""
    terminal = terminal_of(context)
    gone = _each(terminal, models, lambda registry, model: registry.delete_model(model.id), "Deleted")
    terminal.output.note(
        "The bytes stay for the registry's grace time: 7 days, unless its operator says otherwise. Until then:"
    )
    terminal.output.note(f"  modelyard restore {' '.join(str(model.id) for model in gone)}")


def restore(context: typer.Context, models: ModelNames) -> None:
    """Take deleted models back from the trash (modelyard ls --deleted shows it)."""
    _each(
        terminal_of(context), models, lambda registry, model: registry.restore_model(model.id), "Restored", deleted=True
    )


def _each(terminal: Terminal, names: list[str], work: Work, verb: str, *, deleted: bool = False) -> list[Model]:
    """Find every model first, so that a name that fits none stops the command before it has changed anything."""
    from modelyard.client.lookup import find_model

    async def done(registry: Registry) -> list[Model]:
        models = [await find_model(registry, name, deleted=deleted) for name in names]
        for model in models:
            await work(registry, model)
        return models

    models = terminal.ask(done)
    terminal.output.answer(
        document={"is_success": True, "model_ids": [model.id for model in models]},
        lines=[f"{verb} {model.model_path}" for model in models],
        quiet=[str(model.id) for model in models],
    )
    return models
