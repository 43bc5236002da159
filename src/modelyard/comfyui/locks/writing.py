"""Write the section ``models`` of a ``comfy-lock.yaml``; the text of all other sections stays as it is."""

import codecs
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import yaml
from yaml.representer import SafeRepresenter

from modelyard.comfyui.locks.documents import Value, build_value, compose_document, decode_document
from modelyard.comfyui.locks.locked_models import LockedModel, LockInvalid, check_size, sort_models
from modelyard.comfyui.locks.reading import read_models

_KEY = "models"
# Line ends and white space of YAML 1.1.
_BREAKS = frozenset("\r\n\x85\u2028\u2029")
_BLANKS = " \t" + "".join(sorted(_BREAKS))


class _Dumper(yaml.SafeDumper):
    """Writes lists with indentation, as other tools that write the format do."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002 - PyYAML's method
        """Indent lists in mappings too."""
        super().increase_indent(flow, indentless=False)


class _Span(NamedTuple):
    """Where the section begins and ends in a text."""

    start: int
    end: int


def write_lock(models: Iterable[LockedModel], existing: bytes = b"") -> bytes:
    """Return a ``comfy-lock.yaml`` with these models, sorted by path: equal models give equal bytes.

    Of an ``existing`` lock file, everything but the section ``models`` stays byte for byte, comments included; comments
    within the section are not kept. Entries that lock the same files keep their values, such as names and addresses.

    Raises:
        LockInvalid: ``existing`` is no ``comfy-lock.yaml``, or the section cannot be replaced alone, as in JSON or
            where other sections refer to it; or two contents have one path.
    """
    text = decode_document(existing)
    wanted = sort_models(models)
    root = compose_document(text)
    existing_value = build_value(root)
    span = _find_section(root, text)
    section = _format_section(wanted, _find_models(root))
    if "\r\n" in text:
        section = section.replace("\n", "\r\n")
    before = text[: span.start]
    if before and not before.endswith("\n"):
        before += "\n"
    written = before + section + text[span.end :]
    _check_written(existing_value, wanted, written)
    document = (codecs.BOM_UTF8 if existing.startswith(codecs.BOM_UTF8) else b"") + written.encode()
    check_size(document)
    return document


def _find_section(root: yaml.Node | None, text: str) -> _Span:
    """Return where the section is in the text, or an empty span at its end; raises as ``write_lock``."""
    if root is None:
        return _Span(len(text), len(text))
    if not isinstance(root, yaml.MappingNode) or root.flow_style:
        raise LockInvalid("It is no comfy-lock.yaml in block style, and is not rewritten. Choose another file.")
    keys = [key for key, _ in root.value]
    names = [key.value for key in keys]
    if "schema" in names:
        raise LockInvalid("It has a schema of its own, and is not rewritten. Choose another file.")
    # Before the mark "..." of the document's end, if there is one.
    document_end = root.end_mark.index
    if _KEY not in names:
        return _Span(document_end, document_end)
    position = names.index(_KEY)
    start = keys[position].start_mark.index
    end = keys[position + 1].start_mark.index if position + 1 < len(keys) else document_end
    content_end = max(start, _find_content_end(root.value[position][1], text[:end]))
    min_lines = int(text[:content_end][-1:] not in _BREAKS)
    return _Span(start, content_end + _measure_without_comments(text[content_end:end], min_lines))


def _find_content_end(node: yaml.Node, text: str) -> int:
    """Return where the last scalar of a node ends; its lines may look like comments. 0 if an alias is the last."""
    while isinstance(node, yaml.CollectionNode) and node.value:
        last = node.value[-1]
        node = last[1] if isinstance(last, tuple) else last
    end: int = node.end_mark.index
    is_block = isinstance(node, yaml.ScalarNode) and node.style in ("|", ">")
    if is_block and not (node.value and set(("\n" + node.value)[-2:]) <= _BREAKS):
        # The parser counts blank lines after a block scalar to it, also if they are not part of its value.
        end = len(text[:end].rstrip(_BLANKS))
    return end


def _measure_without_comments(rest: str, min_lines: int) -> int:
    """Return the length of a section's rest without blank lines and comments at its end; they belong to the next."""
    lines = rest.splitlines(keepends=True)
    while len(lines) > min_lines and lines[-1].strip(_BLANKS)[:1] in ("", "#"):
        lines.pop()
    return sum(map(len, lines))


def _find_models(root: yaml.Node | None) -> yaml.Node | None:
    """Return the node of the models in a document; None if there are none. Checks them; raises as ``write_lock``."""
    pairs = root.value if isinstance(root, yaml.MappingNode) else ()
    models = next((value for key, value in pairs if key.value == _KEY), None)
    list(read_models(build_value(models)))
    return models if isinstance(models, yaml.SequenceNode) else None


def _format_section(models: Sequence[LockedModel], existing: yaml.Node | None) -> str:
    """Return the section as YAML: entries of the existing one as they are, and new ones, by path."""
    wanted = {_get_identity(model): model for model in models}
    entries: list[tuple[str, yaml.Node]] = []
    for node in existing.value if existing else ():
        locked = list(read_models([build_value(node)]))
        if all(_is_same(model, wanted.get(_get_identity(model))) for model in locked):
            entries.append((min(model.path.relative for model in locked), node))
            for model in locked:
                wanted.pop(_get_identity(model), None)
    represent = SafeRepresenter(default_flow_style=False, sort_keys=False).represent_data
    entries += [(model.path.relative, represent(_build_entry(model))) for model in wanted.values()]
    entries.sort(key=lambda entry: entry[0])
    nodes = [node for _, node in entries]
    sequence = yaml.SequenceNode("tag:yaml.org,2002:seq", nodes, flow_style=not nodes)
    section = yaml.MappingNode("tag:yaml.org,2002:map", [(represent(_KEY), sequence)], flow_style=False)
    written = str(yaml.serialize(section, Dumper=_Dumper, allow_unicode=True, width=2**31))
    # PyYAML ends the document after a text that keeps its blank lines. Here other sections may follow.
    without_end = written.removesuffix("...\n")
    return without_end if without_end[-1] in _BREAKS else written


def _get_identity(model: LockedModel) -> tuple[str, str | None]:
    """Return what makes two locked models the same file."""
    return model.path.relative, model.sha256


def _is_same(existing: LockedModel, wanted: LockedModel | None) -> bool:
    """Return whether an existing entry stays: it locks the wanted file, and has an address if the wanted one has."""
    return wanted is not None and (existing.url is not None or wanted.url is None)


def _build_entry(model: LockedModel) -> dict[str, object]:
    """Return the entry of a model, with the keys in the order of the format's description."""
    return {
        "model": model.file_name,
        **({"url": model.url} if model.url else {}),
        "paths": [{"path": f"models/{model.path.relative}"}],
        **({"hashes": [{"hash": model.sha256, "type": "SHA256"}]} if model.sha256 else {}),
        "type": model.folder,
    }


def _check_written(before: Value, wanted: Sequence[LockedModel], written: str) -> None:
    """Check that the written text has the wanted models, and the other sections as they were; raise LockInvalid."""
    after = build_value(compose_document(written))
    others = [
        {key: value for key, value in each.items() if key != _KEY} if isinstance(each, dict) else {}
        for each in (before, after)
    ]
    models = after.get(_KEY) if isinstance(after, dict) else None
    locked = [_get_identity(model) for model in sort_models(read_models(models))]
    if others[0] != others[1] or locked != [_get_identity(model) for model in wanted]:
        raise LockInvalid("Its section models cannot be replaced without changing others. Choose another file.")
