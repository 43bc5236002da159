"""Lists of the files of a folder model from a registry that may be wrong or hostile."""

import pytest

from modelyard.client.api.models import list_file_pages
from modelyard.client.api.paging import Paging
from modelyard.transfer.errors import BadResponse
from modelyard.wire.folders.schemas import FolderFileEntry, FolderFileList
from modelyard.wire.schemas import PageMeta


class EndlessList:
    """Pages of ``size`` files, each with a next one; of one version, or each of another."""

    def __init__(self, size: int, *, is_of_versions: bool = False) -> None:
        self.size, self.is_of_versions, self.count = size, is_of_versions, 0

    async def load_page(self, paging: Paging) -> FolderFileList:
        self.count += 1
        assert self.count < 10, "the list is read for ever"
        assert paging.cursor == ("" if self.count == 1 else str(self.count - 1))
        file_hash = f"sha256:{'0' * 64}"
        entries = [
            FolderFileEntry(path=f"{self.count}-{each}.json", file_size=1, file_hash=file_hash, download_url="/x")
            for each in range(self.size)
        ]
        return FolderFileList(
            version=self.count if self.is_of_versions else 1,
            file_hash=file_hash,
            file_list=entries,
            page_meta=PageMeta(next_cursor=str(self.count), per_page=2),
        )


@pytest.mark.parametrize(
    ("listed", "why", "pages"),
    [
        (EndlessList(2), "more files", 3),
        (EndlessList(0), "empty page", 1),
        (EndlessList(1, is_of_versions=True), "several versions", 2),
    ],
    ids=["more files", "empty page", "several versions"],
)
async def test_list_file_pages_that_do_not_end_raises_bad_response(listed: EndlessList, why: str, pages: int) -> None:
    listed.count = 0
    with pytest.raises(BadResponse, match=why):
        async for _ in list_file_pages(listed.load_page, 5):
            pass
    assert listed.count == pages
