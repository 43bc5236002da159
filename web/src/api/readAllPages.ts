// Reads lists that are short enough to be loaded completely: a team's members and keys.

interface Part {
  page_meta: { next_cursor?: string | null }
}

/** Return all pages of a list, in order; `read` loads the page at a cursor, and the first page at ''. */
export async function readAllPages<Page extends Part>(read: (cursor: string) => Promise<Page>): Promise<Page[]> {
  const pages: Page[] = []
  let cursor: string | null | undefined = ''
  while (cursor !== null && cursor !== undefined) {
    const page: Page = await read(cursor)
    pages.push(page)
    cursor = page.page_meta.next_cursor
  }
  return pages
}
