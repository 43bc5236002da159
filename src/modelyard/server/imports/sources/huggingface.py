"""Files of a repository at Hugging Face, pinned to a commit. Protocol: sources.md section 1."""

import re
from dataclasses import replace
from typing import Any
from urllib.parse import quote, unquote

from modelyard.server.imports.sources.drafts import clean_line, clean_words, guess_model_type
from modelyard.server.imports.sources.found import FoundFile, FoundModel, choose_found_file, list_model_files
from modelyard.server.imports.sources.links import HuggingFaceLink
from modelyard.server.imports.sources.requests import check_response, get_document, translate_outbound_errors
from modelyard.server.outbound.client import OutboundClient
from modelyard.wire import problems
from modelyard.wire.formats import find_format
from modelyard.wire.imports.drafts import MAX_SOURCE_FILES

NAME = "Hugging Face"
_MAX_PAGES = 5
_MAX_PATH = 1000
_commit = re.compile(r"[0-9a-f]{40}")
_sha256 = re.compile(r"[0-9a-f]{64}")
_next_page = re.compile(r'<([^<>]+)>\s*;\s*rel="?next"?')


def find_huggingface_model(client: OutboundClient, endpoint: str, link: HuggingFaceLink) -> FoundModel:
    """Return what a repository has, at the commit that its revision is now; raises as ``request_source``."""
    info_url = f"{endpoint}/api/models/{link.repository}/revision/{quote(link.revision, safe='')}"
    info = get_document(client, info_url, NAME).content
    commit = info.get("sha") if isinstance(info, dict) else None
    if not isinstance(commit, str) or not _commit.fullmatch(commit):
        raise problems.SourceUnavailable(f"{NAME} named no commit of this model. Try again later.", retry_after=60)
    found, has_all = _list_files(client, endpoint, link, commit)
    listed = list_model_files(found)
    hints = (link.repository, *_list_tags(info))
    files = [replace(file, model_type=guess_model_type(file.name, hints)) for file in listed[:MAX_SOURCE_FILES]]
    chosen = choose_found_file(files, NAME)
    _check_access(client, chosen)
    model = _build_model(info, link, chosen, files)
    return replace(model, is_complete=has_all and len(listed) <= MAX_SOURCE_FILES)


def _list_files(
    client: OutboundClient, endpoint: str, link: HuggingFaceLink, commit: str
) -> tuple[list[FoundFile], bool]:
    """Return the file that the link names, or all of the folder and those below; and whether there are no others.

    At most 5 pages of a folder are read.

    Raises:
        SourceNotFound: the commit has no such file or folder.
    """
    folder = link.path if link.is_folder else link.path.rpartition("/")[0]
    below = f"/{quote(folder)}" if folder else ""
    query = f"?recursive={'true' if link.is_folder else 'false'}&expand=false"
    url = f"{endpoint}/api/models/{link.repository}/tree/{commit}{below}{query}"
    files = list[FoundFile]()
    for _ in range(_MAX_PAGES):
        page = get_document(client, url, NAME)
        entries = page.content if isinstance(page.content, list) else []
        parsed = (_parse_entry(entry, endpoint, link.repository, commit) for entry in entries)
        files += [file for file in parsed if file is not None and (link.is_folder or file.name == link.path)]
        following = _next_page.search(page.headers.get("link", ""))
        if following is None or (files and not link.is_folder):
            break
        url = following[1]
    else:
        return _require_file(files, link), False
    return _require_file(files, link), link.is_folder


def _require_file(files: list[FoundFile], link: HuggingFaceLink) -> list[FoundFile]:
    """Return the files; raises ``SourceNotFound`` if the file that a link names is not one of them."""
    if not link.is_folder and not files:
        raise problems.SourceNotFound(f"{NAME} has no file '{link.path}' in {link.repository} at {link.revision}.")
    return files


def _parse_entry(entry: Any, endpoint: str, repository: str, commit: str) -> FoundFile | None:
    """Return the file of an entry of a tree; None for folders, and for entries of another form."""
    if not isinstance(entry, dict) or entry.get("type") != "file" or not isinstance(entry.get("path"), str):
        return None
    lfs = entry["lfs"] if isinstance(entry.get("lfs"), dict) else {}
    size, sha256 = lfs.get("size", entry.get("size")), lfs.get("oid")
    url = build_file_url(endpoint, repository, commit, entry["path"])
    return FoundFile(
        url=url,
        name=entry["path"],
        download_url=url,
        size=size if isinstance(size, int) and size > 0 else None,
        sha256=sha256 if isinstance(sha256, str) and _sha256.fullmatch(sha256) else None,
    )


def build_file_url(endpoint: str, repository: str, commit: str, path: str) -> str:
    """Return the address of exactly this content of a file, as drafts and imports have it."""
    return f"{endpoint}/{repository}/resolve/{commit}/{quote(path)}"


def _check_access(client: OutboundClient, file: FoundFile) -> None:
    """Check that a stranger gets the file: a gated repository shows its list, and refuses the files.

    The redirect to the storage is not followed: its address is signed for GET, and HEAD may be refused there.
    """
    with translate_outbound_errors(), client.request("HEAD", file.download_url, max_redirects=0) as response:
        if not 300 <= response.status < 400:
            check_response(response, NAME)


def _list_tags(info: dict[str, Any]) -> list[str]:
    """Return the tags of a repository's info, without those that name formats."""
    tags = info["tags"] if isinstance(info.get("tags"), list) else []
    return [tag for tag in tags if isinstance(tag, str) and find_format(tag) is None]


def _build_model(info: dict[str, Any], link: HuggingFaceLink, chosen: FoundFile, files: list[FoundFile]) -> FoundModel:
    """Build what the repository's info and card say."""
    card = info["cardData"] if isinstance(info.get("cardData"), dict) else {}
    prompts = card.get("instance_prompt")
    own_license = card.get("license_name") if card.get("license") == "other" else card.get("license")
    stem = chosen.name.rpartition("/")[2].rpartition(".")[0]
    return FoundModel(
        kind="huggingface",
        page_url=chosen.url.replace("/resolve/", "/blob/", 1),
        name=link.repository,
        revision=chosen.url.partition("/resolve/")[2].partition("/")[0],
        file=chosen,
        files=files,
        display_name=clean_line(stem, 255) or link.repository,
        model_type=chosen.model_type or guess_model_type(chosen.name),
        trigger_words=clean_words(prompts if isinstance(prompts, list) else [prompts]),
        license=clean_line(own_license or card.get("license")),
        preview_url=_find_picture(card.get("thumbnail"), chosen, info.get("siblings")),
    )


def _find_picture(thumbnail: Any, chosen: FoundFile, siblings: Any) -> str | None:
    """Return the address of the repository's file that its card names as thumbnail, by its path or its address.

    Addresses elsewhere are not used. If the repository lists its files, it has to be one of them.
    """
    if not isinstance(thumbnail, str) or len(thumbnail) > _MAX_PATH:
        return None
    base = chosen.url[: -len(quote(chosen.name))]
    repository = base.partition("/resolve/")[0]
    own = re.fullmatch(rf"{re.escape(repository)}/(?:resolve|blob|raw)/[^/?#]+/([^?#]+)", thumbnail)
    path = unquote(own[1]) if own else thumbnail
    if ":" in path or any(part in ("", ".", "..") for part in path.split("/")):
        return None
    names = [each.get("rfilename") for each in siblings if isinstance(each, dict)] if isinstance(siblings, list) else []
    return f"{base}{quote(path)}" if not names or path in names else None
