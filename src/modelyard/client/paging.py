"""Pages of lists: which one is wanted, and all of them one after another."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar

from modelyard.wire.shapes import PageMeta


class Listing(Protocol):
    """Any page of any list."""

    @property
    def page_meta(self) -> PageMeta: ...


Page = TypeVar("Page", bound=Listing)


@dataclass(frozen=True)
class Paging:
    """By cursor, from the start unless told otherwise: the last page costs what the first one costs."""

    per_page: int = 100
    cursor: str = ""

    def query(self) -> dict[str, str]:
        return {"per_page": str(self.per_page), "cursor": self.cursor}


async def every_page(ask: Callable[[Paging], Awaitable[Page]]) -> AsyncIterator[Page]:
    """All pages that ``ask`` gives, asked for as they are used."""
    paging = Paging()
    while True:
        page = await ask(paging)
        yield page
        if page.page_meta.next_cursor is None:
            return
        paging = Paging(cursor=page.page_meta.next_cursor)
