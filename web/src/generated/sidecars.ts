// Written by `make fix`. Do not edit. The facts are in src/modelyard/:
//     client/transfers/sidecars.py
//     wire/model_details.py

/** What follows the stem of a model file in the names of its picture, the preferred one first. */
export const PICTURE_SUFFIXES = [
  '.preview.png',
  '.preview.jpg',
  '.preview.jpeg',
  '.preview.webp',
  '.png',
  '.jpg',
  '.jpeg',
  '.webp',
]

/** What follows it in the names of files with details, the preferred one first. */
export const DETAILS_SUFFIXES = ['.civitai.info', '.metadata.json']

/** The largest file with details that is read. */
export const MAX_DETAILS_BYTES = 4_194_304

/** How many levels of objects and lists it may have. */
export const MAX_DETAILS_DEPTH = 100

/** Base models in lower case that say that it is not known. */
export const NO_BASE_MODEL = ['unknown', 'other']

/** The longest text of details that is sent, in characters. */
export const MAX_SIDECAR_TEXT_LENGTH = 5_000

/** The largest number of trigger words that are sent. */
export const MAX_SIDECAR_WORDS = 200

/** A regular expression of the white space that is removed from both ends of texts. */
export const WHITE_SPACE_PATTERN =
  '[\\u0009\\u000a\\u000b\\u000c\\u000d\\u001c\\u001d\\u001e\\u001f\\u0020\\u0085\\u00a0\\u1680\\u2000\\u2001\\u2002\\u2003\\u2004\\u2005\\u2006\\u2007\\u2008\\u2009\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000]'
