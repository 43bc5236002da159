"""Lists of files from a registry that may be wrong or hostile."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest

from modelyard.client.api.paging import Paging
from modelyard.sync.apply.errors import NotPlaced
from modelyard.sync.apply.files.folder_staging import build_file_model
from modelyard.sync.desired import build_desired_state
from modelyard.sync.folder_sources import FolderSources
from modelyard.sync.inventory.folder_lists import FolderLists
from modelyard.sync.inventory.state_db import StateFile
from modelyard.transfer.errors import BadResponse, Refused, RetriesExhausted, TransferFailed, Unreachable
from modelyard.wire.agents.manifests import ManifestEntry
from modelyard.wire.folders.manifest import MAX_MANIFEST_BYTES, FolderFile, build_manifest, get_file_hash, sort_files
from modelyard.wire.folders.names import MAX_FILES
from modelyard.wire.folders.schemas import FolderFileEntry, FolderFileList
from modelyard.wire.schemas import PageMeta
from tests.sync.factories import build_entry

_FIRST_PAGE = Paging()
FILES = [FolderFile("a.json", "a" * 64, 2), FolderFile("unet/b.sft", "b" * 64, 3), FolderFile("z.txt", "c" * 64, 1)]


class ListedFiles:
    """What a registry answers: two files a page, each page with new URLs."""

    def __init__(self, files: list[FolderFile]) -> None:
        self.files = files
        self.requests: list[str] = []

    async def list_model_files(
        self,
        model_id: UUID,
        paging: Paging = _FIRST_PAGE,
        version: int | None = None,
    ) -> FolderFileList:
        self.requests.append(paging.cursor)
        start = int(paging.cursor or 0)
        entries = [
            FolderFileEntry(
                path=file.path,
                file_size=file.size,
                file_hash=f"sha256:{file.sha256}",
                download_url=f"/{model_id}/{version}/{file.path}/{len(self.requests)}",
            )
            for file in self.files[start : start + 2]
        ]
        following = str(start + 2) if start + 2 < len(self.files) else None
        file_hash = get_file_hash(build_manifest(self.files))
        return FolderFileList(
            version=version or 1,
            file_hash=file_hash,
            file_list=entries,
            page_meta=PageMeta(next_cursor=following, per_page=2),
        )


@pytest.fixture
def state_file(tmp_path: Path) -> Iterator[StateFile]:
    with StateFile(tmp_path / "a.sqlite") as state:
        yield state


@pytest.fixture
def lists(state_file: StateFile) -> FolderLists:
    return FolderLists(state_file)


@pytest.fixture
def damaged_hash(state_file: StateFile) -> str:
    """Store a damaged list for the hash of ``FILES``, which is returned."""
    sha256 = get_file_hash(build_manifest(FILES)).removeprefix("sha256:")
    with state_file.transaction() as database:
        database.execute("INSERT INTO folder_lists (sha256, manifest) VALUES (?, ?)", (sha256, b"{}"))
    return sha256


def build_folder_entry(files: list[FolderFile], path: str = "diffusers/flux") -> ManifestEntry:
    manifest = build_manifest(files)
    return build_entry(path, file_hash=get_file_hash(manifest), file_size=len(manifest), is_folder=True)


async def test_load_lists_are_requested_once_and_kept(lists: FolderLists) -> None:
    registry, entry = ListedFiles(FILES), build_folder_entry(FILES)

    for sources in (FolderSources(registry, lists), FolderSources(registry, lists)):
        files = await sources.load_lists([entry])
        [desired] = build_desired_state([entry], folder_files=files).models
        assert (desired.files, desired.size) == (tuple(sort_files(FILES)), 6)

    assert registry.requests == ["", "2"]


@pytest.mark.parametrize(
    "listed", [FILES[:2], [*FILES[:2], FolderFile("z.txt", "d" * 64, 1)], []], ids=["short", "other content", "empty"]
)
async def test_list_with_another_hash_is_refused_and_local_files_stay(
    lists: FolderLists, listed: list[FolderFile]
) -> None:
    entry = build_folder_entry(FILES)

    files = await FolderSources(ListedFiles(listed), lists).load_lists([entry])
    state = build_desired_state([entry], folder_files=files)

    assert state.models == ()
    [rejected] = state.rejected
    assert (rejected.state, rejected.waiting_model is not None) == ("failed", True)
    assert await asyncio.to_thread(lists.find, entry.file_hash.removeprefix("sha256:")) is None


@pytest.mark.parametrize(
    "path",
    [
        "../../etc/x.json",
        "/etc/x.json",
        "a\\..\\b.json",
        "run.py",
        "unet/../../x.json",
        ".modelyard/x.json",
        "CON.json",
    ],
)
async def test_list_with_unsafe_path_is_refused(lists: FolderLists, path: str) -> None:
    files = [*FILES, FolderFile(path, "e" * 64, 5)]
    entry = build_folder_entry(files)

    listed = await FolderSources(ListedFiles(sort_files(files)), lists).load_lists([entry])
    state = build_desired_state([entry], folder_files=listed)

    assert state.models == ()
    assert [each.state for each in state.rejected] == ["failed"]


@pytest.mark.parametrize(
    "listed",
    [
        [],
        [FolderFile("a.json", "a" * 64, 2**53)],
        [FolderFile(f"{name}/{'x' * MAX_MANIFEST_BYTES}.json", "a" * 64, 2) for name in "ab"],
    ],
    ids=["empty", "size that JSON cannot have", "too long"],
)
async def test_list_that_cannot_be_parsed_is_refused_also_after_a_restart(
    lists: FolderLists, listed: list[FolderFile]
) -> None:
    entry, other = build_folder_entry(listed), build_folder_entry(FILES, "diffusers/other")

    for _ in range(2):
        await FolderSources(ListedFiles(listed), lists).load_lists([entry])
        files = await FolderSources(ListedFiles(FILES), lists).load_lists([other])
        assert [model.model_path for model in build_desired_state([other], folder_files=files).models] == [
            "diffusers/other"
        ]


async def test_damaged_stored_list_is_requested_again(lists: FolderLists, damaged_hash: str) -> None:
    await FolderSources(ListedFiles(FILES), lists).load_lists([build_folder_entry(FILES)])

    assert await asyncio.to_thread(lists.find, damaged_hash) == tuple(FILES)


class EndlessFiles(ListedFiles):
    """A registry whose pages, each with one file or none, never end."""

    def __init__(self, *, is_empty: bool) -> None:
        super().__init__([])
        self.is_empty = is_empty

    async def list_model_files(
        self, model_id: UUID, paging: Paging = _FIRST_PAGE, version: int | None = None
    ) -> FolderFileList:
        self.requests.append(paging.cursor)
        assert len(self.requests) <= 2 * MAX_FILES
        entry = FolderFileEntry(path="a.json", file_size=1, file_hash=f"sha256:{'a' * 64}", download_url="/a")
        return FolderFileList(
            version=1,
            file_hash="",
            file_list=[] if self.is_empty else [entry],
            page_meta=PageMeta(next_cursor="again", per_page=1),
        )


async def test_load_lists_of_endless_empty_pages_returns_a_reason(lists: FolderLists) -> None:
    entry = build_folder_entry(FILES)

    [reason] = (await FolderSources(EndlessFiles(is_empty=True), lists).load_lists([entry])).values()

    assert isinstance(reason, str)


async def test_get_url_of_endless_pages_raises_not_placed(lists: FolderLists) -> None:
    entry = build_folder_entry(FILES)
    listed = await FolderSources(ListedFiles(FILES), lists).load_lists([entry])
    [desired] = build_desired_state([entry], folder_files=listed).models

    with pytest.raises(NotPlaced):
        await FolderSources(EndlessFiles(is_empty=False), lists).get_url(build_file_model(desired, FILES[1]))


class UnreachableRegistry(ListedFiles):
    """A registry that cannot be reached."""

    async def list_model_files(
        self, model_id: UUID, paging: Paging = _FIRST_PAGE, version: int | None = None
    ) -> FolderFileList:
        self.requests.append(paging.cursor)
        raise Unreachable("The registry did not answer.")


async def test_load_lists_of_unreachable_registry_tries_once_each_time(lists: FolderLists) -> None:
    registry = UnreachableRegistry([])
    sources = FolderSources(registry, lists)
    entries = [build_folder_entry(FILES[:count]) for count in (1, 2, 3)]
    await FolderSources(ListedFiles(FILES), lists).load_lists(entries[2:])

    for count in (1, 2):
        files = await sources.load_lists(entries)
        assert [isinstance(listed, str) for listed in files.values()] == [True, True, False]
        assert len(registry.requests) == count


class RegistryWithOneFailingList(ListedFiles):
    """A registry whose response to the first request fails."""

    def __init__(self, files: list[FolderFile], failure: TransferFailed) -> None:
        super().__init__(files)
        self.failure = failure

    async def list_model_files(
        self, model_id: UUID, paging: Paging = _FIRST_PAGE, version: int | None = None
    ) -> FolderFileList:
        if not self.requests:
            self.requests.append(paging.cursor)
            raise self.failure
        return await super().list_model_files(model_id, paging, version)


@pytest.mark.parametrize(
    "failure",
    [
        BadResponse("The response is too large."),
        Refused(500, "Internal server error"),
        RetriesExhausted(Refused(503, "Service unavailable"), 60, 9),
    ],
    ids=["bad response", "refused", "retries exhausted"],
)
async def test_load_lists_after_one_bad_response_requests_the_other_lists(
    lists: FolderLists, failure: TransferFailed
) -> None:
    sources = FolderSources(RegistryWithOneFailingList(FILES, failure), lists)

    files = await sources.load_lists([build_folder_entry(FILES[:1]), build_folder_entry(FILES)])

    assert [isinstance(listed, str) for listed in files.values()] == [True, False]


async def test_load_lists_keeps_pages_of_downloads_that_run(lists: FolderLists) -> None:
    registry, entry = ListedFiles(FILES), build_folder_entry(FILES)
    sources = FolderSources(registry, lists)
    [desired] = build_desired_state([entry], folder_files=await sources.load_lists([entry])).models
    await sources.get_url(build_file_model(desired, FILES[1]))
    registry.requests.clear()

    await sources.load_lists([entry])
    await sources.get_url(build_file_model(desired, FILES[2]))
    assert registry.requests == ["2"]

    await sources.load_lists([])
    await sources.get_url(build_file_model(desired, FILES[0]))
    assert registry.requests == ["2", ""]


async def test_get_url_uses_pages_in_order_and_finds_an_earlier_file_again(lists: FolderLists) -> None:
    registry, entry = ListedFiles(FILES), build_folder_entry(FILES)
    sources = FolderSources(registry, lists)
    [desired] = build_desired_state([entry], folder_files=await sources.load_lists([entry])).models
    registry.requests.clear()

    urls = [await sources.get_url(build_file_model(desired, file)) for file in (*desired.files, desired.files[0])]

    assert [url.rsplit("/", 1)[0] for url in urls] == [
        f"/{entry.id}/1/{path}" for path in ("a.json", "unet/b.sft", "z.txt", "a.json")
    ]
    assert registry.requests == ["", "2", "2", ""]
