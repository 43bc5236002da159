// Search parameters of a collection's page.

export interface CollectionSearch {
  /** The version that is shown, unless it is the newest. */
  version?: number
}

/** Validate the search parameters; unknown and invalid ones are dropped. */
export function collectionSearch({ version }: Record<string, unknown>): CollectionSearch {
  return Number.isInteger(version) && Number(version) > 0 ? { version: Number(version) } : {}
}
