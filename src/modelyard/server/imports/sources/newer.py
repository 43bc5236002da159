"""Finding out whether a source has a newer version of a model, from the address that the model names as its source."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any

from modelyard.server.imports.sources.civitai import NAME as CIVITAI
from modelyard.server.imports.sources.drafts import clean_line
from modelyard.server.imports.sources.huggingface import find_huggingface_model
from modelyard.server.imports.sources.links import CivitaiLink, HuggingFaceLink, parse_link
from modelyard.server.imports.sources.lookup import Sources
from modelyard.server.imports.sources.requests import get_document, translate_outbound_errors
from modelyard.wire import problems


@dataclass(frozen=True)
class NewerVersion:
    """A newer version at a source: ``url`` is a link that can be imported."""

    revision: str
    name: str
    url: str


def find_newer_version(sources: Sources, source_url: str, held: Collection[str]) -> NewerVersion | None:
    """Return the newest version at the source of a model; None if its content is among the ``held`` hashes.

    At Hugging Face, it is the same file at the default branch; at Civitai, the newest version of the model. Which
    version ``source_url`` names counts only if the source declares no hash: its content may never have been verified.

    Raises:
        LinkRefused: the address is of no source that has versions, or names no file or model there.
        SourceNotFound, SourceRestricted, SourceUnavailable: see ``check_response``.
    """
    with translate_outbound_errors():
        link = parse_link(source_url, sources.endpoints)
    if isinstance(link, HuggingFaceLink) and not link.is_folder:
        return _find_at_huggingface(sources, link, held)
    if isinstance(link, CivitaiLink) and link.model_id is not None:
        return _find_at_civitai(sources, link, link.model_id, held)
    raise problems.LinkRefused(
        "Only models from a file at Hugging Face or a model at Civitai have newer versions there. Set the source of "
        "this model to such an address, if it has one."
    )


def _find_at_huggingface(sources: Sources, link: HuggingFaceLink, held: Collection[str]) -> NewerVersion | None:
    """Return the file at the default branch if it has other content; one without a declared hash counts as the same."""
    found = find_huggingface_model(sources.client, sources.endpoints.huggingface, replace(link, revision="main"))
    if found.file.sha256 is None or found.file.sha256 in held:
        return None
    return NewerVersion(found.revision or "", f"{found.name} at {(found.revision or '')[:8]}", found.file.url)


def _find_at_civitai(sources: Sources, link: CivitaiLink, model_id: int, held: Collection[str]) -> NewerVersion | None:
    """Return the newest published version, unless it has this content, or declares no hash and is the linked one."""
    endpoint = sources.endpoints.civitai
    model = get_document(sources.client, f"{endpoint}/api/v1/models/{model_id}", CIVITAI).content
    newest = _find_newest(model)
    if newest is None:
        raise problems.SourceNotFound(f"{CIVITAI}'s model {model_id} has no published version.")
    declared = _list_hashes(newest)
    if not declared.isdisjoint(held) or (not declared and newest["id"] == link.version_id):
        return None
    names = [text for text in (clean_line(model.get("name")), clean_line(newest.get("name"))) if text]
    url = f"{endpoint}/models/{model_id}?modelVersionId={newest['id']}"
    return NewerVersion(str(newest["id"]), " ".join(names)[:255] or f"version {newest['id']}", url)


def _find_newest(model: Any) -> dict[str, Any] | None:
    """Return the first version of a model's document that has an id; None if there is none, or it has another form."""
    versions = model.get("modelVersions") if isinstance(model, dict) else None
    listed = versions if isinstance(versions, list) else []
    return next((each for each in listed if isinstance(each, dict) and isinstance(each.get("id"), int)), None)


def _list_hashes(version: dict[str, Any]) -> set[str]:
    """Return the SHA-256 that a version declares of its files, as lower-case hex."""
    files = version.get("files")
    hashes = [each.get("hashes") for each in files if isinstance(each, dict)] if isinstance(files, list) else []
    found = [each.get("SHA256") for each in hashes if isinstance(each, dict)]
    return {each.lower() for each in found if isinstance(each, str) and each}
