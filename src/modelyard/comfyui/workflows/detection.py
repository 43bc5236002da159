"""The values of a node that name models."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from modelyard.comfyui.workflows.declared import DeclaredModels, find_declared
from modelyard.comfyui.workflows.documents import get_children
from modelyard.comfyui.workflows.loaders import Loader, LoaderTable
from modelyard.comfyui.workflows.lora_rows import list_lora_rows
from modelyard.comfyui.workflows.nodes import Node
from modelyard.comfyui.workflows.prompts import has_prompt_names, list_prompt_names
from modelyard.comfyui.workflows.references import ModelReference
from modelyard.wire.formats import find_format

MAX_NAME_LENGTH = 1_000
# Values of loaders that load no file, in lower case.
_NO_MODEL = frozenset(
    {
        *("", "none", "[none]", "baked vae", "(use same)", "pixel_space", "undefined", "null", "auto", "disabled"),
        # VAELoader finds the parts of these by itself.
        *("taesd", "taesdxl", "taesd3", "taef1", "taef2"),
    }
)
_UNKNOWN = Loader()
_unprintable = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")


@dataclass(frozen=True)
class _Found:
    """A value that names a model. ``folders`` are those in which the node may search, the likeliest first."""

    input: str
    name: str
    folders: tuple[str, ...] = ()
    is_used: bool = True
    is_by_stem: bool = False  # the node finds a file by its name without folder and extension


def list_references(node: Node, table: LoaderTable, declared: DeclaredModels) -> Iterator[ModelReference]:
    """Yield the models that a node names, each once for an input. ``declared`` are those of the whole workflow."""
    seen: set[tuple[str, str | None, str]] = set()
    for found in _find_different_names(node, table.find(node.type) or _UNKNOWN):
        if found.name:
            reference = _build_reference(node, found, declared)
            key = reference.input, reference.folder, reference.name
            if key not in seen:
                seen.add(key)
                yield reference


def _find_different_names(node: Node, loader: Loader) -> Iterator[_Found]:
    """Yield what the values of a node name, each once for an input and its folders: texts may repeat a name often."""
    seen: set[tuple[str, str, tuple[str, ...]]] = set()
    for found in _find_names(node, loader):
        key = found.input, found.name, found.folders
        if key not in seen:
            seen.add(key)
            yield found


def _build_reference(node: Node, found: _Found, declared: DeclaredModels) -> ModelReference:
    """Return a reference with what the node, or else the workflow, declares for this name."""
    entry = (
        find_declared(found.name, found.folders, node.declared)
        or find_declared(found.name, found.folders, declared)
        or find_declared(found.name, (), node.declared)
    )
    folders = [entry.folder] if entry and entry.folder and entry.folder in (found.folders or (entry.folder,)) else []
    return ModelReference(
        node_id=clean_text(node.id),
        node_type=clean_text(node.type),
        input=clean_text(found.input),
        folder=next(iter([*folders, *found.folders]), None),
        name=clean_text(found.name[:MAX_NAME_LENGTH]),
        hash=entry.hash if entry else None,
        url=entry.url if entry else None,
        is_required=node.is_active and found.is_used,
        is_bare=found.is_by_stem and find_format(found.name) is None,
    )


def _find_names(node: Node, loader: Loader) -> Iterator[_Found]:
    """Yield what the values of a node name; a LoRA of its rows is not repeated for the tags of its texts."""
    values = {each.name: each.value for each in node.values if each.name}
    in_rows: set[str] = set()
    texts: list[tuple[str, str]] = []
    for each in node.values:
        if rows := list_lora_rows(each.value):
            in_rows.update(row.name for row in rows)
            named = (row for row in rows if not is_no_model(row.name))
            yield from (_Found(each.name, row.name, ("loras",), row.is_on, is_by_stem=True) for row in named)
        elif (text := _get_text(each.value)) is not None:
            texts.append((each.name, text))
        else:
            yield from (_Found(each.name, inner) for inner in _list_inner_texts(each.value) if is_file_name(inner))
    for name, text in texts:
        if found := _find_file(name, text, loader, values):
            yield found
        else:
            yield from (found for found in _find_in_prompt(name, text, loader) if found.name not in in_rows)


def _find_file(name: str, text: str, loader: Loader, values: Mapping[str, object]) -> _Found | None:
    """Return the model whose file a text names; None if it names none, or is a prompt."""
    known = loader.find_input(name)
    if known and is_no_model(text):
        return None
    if known and (loader.takes_bare_names or is_file_name(text)):
        is_used = loader.is_in_use(name, values)
        return _Found(name, text, known.list_folders(text), is_used, is_by_stem=loader.finds_by_stem)
    # A widget without a name, or one of another version of the node.
    return _Found(name, text, loader.get_only_folders()) if is_file_name(text) else None


def _find_in_prompt(name: str, text: str, loader: Loader) -> Iterator[_Found]:
    """Yield LoRAs and embeddings that a prompt names. A tag is plain text to a node that is not known to load it."""
    if has_prompt_names(text):
        for each in list_prompt_names(text):
            is_lora = each.folder == "loras"
            yield _Found(name, each.name, (each.folder,), not is_lora or loader.loads_tags, is_by_stem=is_lora)


def _get_text(value: object) -> str | None:
    """Return a text, also that of a value with a picture (``{content, image}``, pysssss); None for other values."""
    if isinstance(value, dict):
        value = value.get("content")
    return value if isinstance(value, str) else None


def _list_inner_texts(value: object) -> Iterator[str]:
    """Yield the texts inside a list or object of an unknown form."""
    level = get_children(value)
    while level:
        yield from (each for each in level if isinstance(each, str))
        level = [child for each in level for child in get_children(each)]


def is_file_name(text: str) -> bool:
    """Return whether a text ends like a model file and is not a prompt or an address."""
    if len(text) > MAX_NAME_LENGTH or "\n" in text or "://" in text:
        return False
    return find_format(text) is not None and not has_prompt_names(text)


def is_no_model(text: str) -> bool:
    """Return whether a loader's choice loads no file, such as ``None`` or ``Baked VAE``."""
    return text.strip().lower() in _NO_MODEL


def clean_text(text: str) -> str:
    """Replace control characters and lone surrogates, which no database and no terminal takes."""
    return _unprintable.sub("\N{REPLACEMENT CHARACTER}", text)
