// Lists that are short enough to be held whole: a team's people and keys.

interface Part {
  page_meta: { next_cursor?: string | null }
}

/** All pages of a list, in order; `read` asks for the one that begins at a cursor, the first at an empty one. */
export async function everyPage<Page extends Part>(read: (cursor: string) => Promise<Page>): Promise<Page[]> {
  const pages: Page[] = []
  let cursor: string | null | undefined = ''
  while (cursor !== null && cursor !== undefined) {
    const page: Page = await read(cursor)
    pages.push(page)
    cursor = page.page_meta.next_cursor
  }
  return pages
}
