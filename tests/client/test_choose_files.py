"""Several files of one repository: which ones, and their drafts."""

import pytest

from modelyard.client.imports import DraftChanges, check_paths, choose_files, confirm_draft
from modelyard.wire.imports.drafts import ImportDraft, ImportSource, SourceFile, SourceHashes

HASH = "sha256:" + "ab" * 32
BASE = "https://huggingface.co/studio/ink/resolve/1f2e"


def build_file(name: str, model_type: str = "loras", sha256: str | None = None) -> SourceFile:
    """Return a file of the repository."""
    file_name = name.rpartition("/")[2]
    url = f"{BASE}/{name}"
    return SourceFile(url=url, name=name, size=100, file_name=file_name, model_type=model_type, sha256=sha256)


def build_draft(*files: SourceFile) -> ImportDraft:
    """Return the draft of the first file, with all of them."""
    return ImportDraft(
        url=files[0].url,
        source=ImportSource(kind="huggingface", page_url=f"{BASE}/x", name="studio/ink", revision="1f2e"),
        file_list=[*files],
        file_name=files[0].file_name,
        size=100,
        hashes=SourceHashes(sha256=files[0].sha256),
        display_name="Ink",
        model_type=files[0].model_type,
        model_path=f"{files[0].model_type}/{files[0].file_name}",
        base_model="Pony",
        trigger_words=["inkwash"],
        license="mit",
    )


DRAFT = build_draft(
    build_file("ink.safetensors"),
    build_file("vae/ink-vae.safetensors", "vae", HASH),
    build_file("old/ink.ckpt", "checkpoints"),
)


@pytest.mark.parametrize(
    ("patterns", "paths"),
    [
        (["*.safetensors"], ["loras/ink.safetensors", "vae/ink-vae.safetensors"]),
        (["vae/*", "old/*"], ["vae/ink-vae.safetensors", "checkpoints/ink.ckpt"]),
        (["ink.safetensors"], ["loras/ink.safetensors"]),
    ],
)
def test_choose_files_returns_a_draft_for_each_match(patterns: list[str], paths: list[str]) -> None:
    assert [draft.model_path for draft in choose_files(DRAFT, patterns)] == paths


def test_choose_files_other_file_has_its_own_facts_and_those_of_the_repository() -> None:
    [draft] = choose_files(DRAFT, ["vae/*"])
    assert (draft.url, draft.hashes.sha256, draft.display_name) == (f"{BASE}/vae/ink-vae.safetensors", HASH, "ink-vae")
    assert draft.source.page_url == f"{BASE.replace('/resolve/', '/blob/')}/vae/ink-vae.safetensors"
    assert (draft.license, draft.base_model, draft.trigger_words) == ("mit", "Pony", ["inkwash"])


def test_choose_files_without_match_names_the_files() -> None:
    with pytest.raises(ValueError, match=r"studio/ink matches.*vae/ink-vae\.safetensors"):
        choose_files(DRAFT, ["*.gguf"])


def test_choose_files_of_an_incomplete_list_is_refused() -> None:
    with pytest.raises(ValueError, match=r"Not all files of studio/ink .* link of a folder"):
        choose_files(DRAFT.model_copy(update={"is_complete": False}), ["*"])


@pytest.mark.parametrize("second", ["b/model.safetensors", "b/Model.safetensors"])
def test_check_paths_with_the_same_path_are_refused(second: str) -> None:
    draft = build_draft(build_file("a/model.safetensors"), build_file(second, "vae"))
    drafts = choose_files(draft, ["*"])
    check_paths([confirm_draft(each, DraftChanges()) for each in drafts])
    imports = [confirm_draft(each, DraftChanges(model_type="vae")) for each in drafts]
    with pytest.raises(ValueError, match=r"would be at vae/model\.safetensors"):
        check_paths(imports)
    check_paths([imports[0], imports[0]])
