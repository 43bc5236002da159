"""Read the registry's lists page by page."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar

from modelyard.wire.schemas import PageMeta


class Listing(Protocol):
    """A page of any list of the registry."""

    @property
    def page_meta(self) -> PageMeta: ...


Page = TypeVar("Page", bound=Listing)


@dataclass(frozen=True)
class Paging:
    """The query parameters of one page, by cursor; an empty cursor is the first page.

    With cursors, the last page costs the server as much as the first.
    """

    per_page: int = 100
    cursor: str = ""

    def build_query(self) -> dict[str, str]:
        """Return the query parameters of this page; ``cursor`` is sent even if empty, which selects cursor paging."""
        return {"per_page": str(self.per_page), "cursor": self.cursor}


async def list_pages(load_page: Callable[[Paging], Awaitable[Page]]) -> AsyncIterator[Page]:
    """Yield the pages of a list from the first to the last; each is loaded when the caller asks for it."""
    paging = Paging()
    while True:
        page = await load_page(paging)
        yield page
        if page.page_meta.next_cursor is None:
            return
        paging = Paging(cursor=page.page_meta.next_cursor)
