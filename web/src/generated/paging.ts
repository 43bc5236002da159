// Written by `make fix`. Do not edit. The facts are in src/modelyard/:
//     server/http/paging.py
//     server/models/listing/pages.py
//     wire/long_lists.py

/** The largest number of items of a batch. */
export const MAX_BATCH_ITEMS = 100

/** The largest number of rows of a page. */
export const MAX_PAGE_ROWS = 100

/** The number at which the total of a list stops. */
export const MAX_COUNTED = 10_000

/** The number at which the total of models that match one filter stops. */
export const MAX_COUNTED_BY_INDEX = 10_000

/** The number at which the total of models that match a search or several filters stops. */
export const MAX_COUNTED_BY_READING = 1_000
