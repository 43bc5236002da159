"""Files of a model's version at Civitai. Protocol: sources.md section 2."""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from modelyard.server.imports.sources.drafts import clean_line, clean_words, guess_model_type
from modelyard.server.imports.sources.found import FoundFile, FoundModel, choose_found_file, list_model_files
from modelyard.server.imports.sources.links import CivitaiLink
from modelyard.server.imports.sources.requests import build_restricted, get_document
from modelyard.server.outbound.client import OutboundClient, TokenUse
from modelyard.server.outbound.policy import parse_url
from modelyard.wire import problems
from modelyard.wire.imports.drafts import MAX_SOURCE_FILES

NAME = "Civitai"
# By Civitai's type of the model, or of a file of it, in lower case.
_FOLDERS = {
    "checkpoint": "checkpoints",
    "lora": "loras",
    "locon": "loras",
    "dora": "loras",
    "textualinversion": "embeddings",
    "negative": "embeddings",
    "hypernetwork": "hypernetworks",
    "controlnet": "controlnet",
    "vae": "vae",
    "upscaler": "upscale_models",
    "motionmodule": "animatediff_models",
    "unet": "diffusion_models",
    "diffusionmodel": "diffusion_models",
    "textencoder": "text_encoders",
    "text encoder": "text_encoders",
    "clipvision": "clip_vision",
    "detection": "ultralytics",
}
# These file types are what the model's type says.
_MAIN_FILES = frozenset({"model", "pruned model"})
# PG and PG-13, see sources.md section 2.
_PICTURE_LEVELS = (1, 2)
_sha256 = re.compile(r"[0-9a-f]{64}")


def find_civitai_model(client: OutboundClient, endpoint: str, link: CivitaiLink) -> FoundModel:
    """Return what a version has: the named one, or the newest of a model; raises as ``request_source``."""
    version_id = link.version_id if link.version_id is not None else _find_newest_version(client, endpoint, link)
    version = get_document(client, f"{endpoint}/api/v1/model-versions/{version_id}", NAME).content
    if not isinstance(version, dict):
        raise problems.SourceNotFound(f"{NAME} has no version {version_id}.")
    if link.model_id is not None and version.get("modelId") not in (None, link.model_id):
        raise problems.SourceNotFound(f"{NAME}'s version {version_id} is of another model.")
    _check_is_public(client, endpoint, version)
    entries = {each["id"]: each for each in _list_entries(version.get("files"))}
    files = {file_id: _parse_file(entry, endpoint, version_id, version) for file_id, entry in entries.items()}
    return _build_model(version, _choose(link, entries, files), list_model_files([*files.values()]), endpoint)


def _list_entries(files: Any) -> Iterator[dict[str, Any]]:
    """Yield the files of a version that have an id."""
    for entry in files if isinstance(files, list) else ():
        if isinstance(entry, dict) and isinstance(entry.get("id"), int):
            yield entry


def _find_newest_version(client: OutboundClient, endpoint: str, link: CivitaiLink) -> int:
    """Return the id of the newest version of a model; raises ``SourceNotFound`` without one."""
    model = get_document(client, f"{endpoint}/api/v1/models/{link.model_id}", NAME).content
    versions = model.get("modelVersions") if isinstance(model, dict) else None
    newest = versions[0] if isinstance(versions, list) and versions and isinstance(versions[0], dict) else {}
    if not isinstance(newest.get("id"), int):
        raise problems.SourceNotFound(f"{NAME}'s model {link.model_id} has no published version.")
    return int(newest["id"])


def _check_is_public(client: OutboundClient, endpoint: str, version: dict[str, Any]) -> None:
    """Check that a version is for everybody and may be downloaded; raises ``SourceRestricted``.

    With a token, only the download says whether its account has access in advance.
    """
    ends = _parse_time(version.get("earlyAccessEndsAt"))
    is_early = ends > datetime.now(UTC) if ends else version.get("availability") == "EarlyAccess"
    address = parse_url(endpoint)
    token = client.get_token_use(address)
    if is_early and token is not TokenUse.SENT:
        when = f" until {ends:%Y-%m-%d}" if ends else ""
        text = f"{NAME} has this version in early access{when}, for people who paid for it."
        raise build_restricted(text, "early_access", address, token)
    if version.get("usageControl") not in (None, "Download"):
        raise problems.SourceRestricted(
            f"The author of this version does not allow downloads from {NAME}.", reason="downloads_disabled"
        )


def _parse_time(text: Any) -> datetime | None:
    """Return an ISO time with a zone; None for anything else."""
    try:
        moment = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None
    return moment if moment is None or moment.tzinfo else moment.replace(tzinfo=UTC)


def _parse_file(entry: dict[str, Any], endpoint: str, version_id: int, version: dict[str, Any]) -> FoundFile:
    """Return a file of a version. ``sizeKB`` is not exact, so its size is not known here."""
    hashes = entry["hashes"] if isinstance(entry.get("hashes"), dict) else {}
    sha256 = str(hashes.get("SHA256", "")).lower()
    url = f"{endpoint}/api/download/models/{version_id}?fileId={entry['id']}"
    name = str(entry.get("name", ""))[:255]
    return FoundFile(
        url=url,
        name=name,
        download_url=url,
        sha256=sha256 if _sha256.fullmatch(sha256) else None,
        model_type=_find_folder(entry, version) or guess_model_type(name),
    )


def _find_folder(entry: dict[str, Any], version: dict[str, Any]) -> str | None:
    """Return the folder of a file by its type, or that of its model; None if it has none by them."""
    model = version["model"] if isinstance(version.get("model"), dict) else {}
    file_type, model_type = str(entry.get("type", "")).casefold(), str(model.get("type", "")).casefold()
    return _FOLDERS.get(model_type if file_type in _MAIN_FILES or file_type not in _FOLDERS else file_type)


def _choose(link: CivitaiLink, entries: Mapping[int, dict[str, Any]], files: Mapping[int, FoundFile]) -> FoundFile:
    """Return the file that the link names, or the primary one, or one by its name.

    Raises:
        SourceNotFound: the version has no such file, or none at all.
        LinkRefused: it is no model file, or none is.
    """
    if link.file_id is not None:
        if link.file_id not in files:
            raise problems.SourceNotFound(f"This version has no file {link.file_id} at {NAME}.")
        return choose_found_file([files[link.file_id]], NAME)
    if not files:
        raise problems.SourceNotFound(f"{NAME} has no file of this version: it was deleted or archived.")
    primary = [files[file_id] for file_id, entry in entries.items() if entry.get("primary") is True]
    return choose_found_file(list_model_files(primary) or [*files.values()], NAME)


def _build_model(version: dict[str, Any], chosen: FoundFile, files: list[FoundFile], endpoint: str) -> FoundModel:
    """Build what a version says."""
    model = version["model"] if isinstance(version.get("model"), dict) else {}
    names = [text for text in (clean_line(model.get("name")), clean_line(version.get("name"))) if text]
    model_id, version_id = version.get("modelId"), version.get("id")
    return FoundModel(
        kind="civitai",
        page_url=f"{endpoint}/models/{model_id}?modelVersionId={version_id}" if model_id else chosen.url,
        name=names[0] if names else f"version {version_id}",
        revision=str(version_id),
        file=chosen,
        files=files[:MAX_SOURCE_FILES],
        is_complete=len(files) <= MAX_SOURCE_FILES,
        display_name=" ".join(names)[:255] or chosen.name or "model",
        model_type=chosen.model_type or guess_model_type(chosen.name),
        base_model=clean_line(version.get("baseModel"), 100),
        trigger_words=clean_words(version.get("trainedWords")),
        preview_url=_find_picture(version.get("images")),
    )


def _find_picture(images: Any) -> str | None:
    """Return the address of the first picture that is for everybody at work: no video, and PG or PG-13."""
    for image in images if isinstance(images, list) else ():
        is_picture = isinstance(image, dict) and image.get("type", "image") == "image"
        if is_picture and image.get("nsfwLevel") in _PICTURE_LEVELS and isinstance(image.get("url"), str):
            return str(image["url"])
    return None
