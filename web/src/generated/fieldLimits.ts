// Written by `make fix`. Do not edit. The facts are in src/modelyard/:
//     wire/accounts.py
//     wire/credentials.py
//     wire/model_filter.py
//     wire/models.py
//     wire/schemas.py
//     wire/uploads.py

/** The longest name of a team, a key or a person. */
export const MAX_NAME_LENGTH = 100

/** The longest name of a model or a file. */
export const MAX_LONG_NAME_LENGTH = 255

/** The longest description of a model. */
export const MAX_DESCRIPTION_LENGTH = 10_000

/** The longest model type. */
export const MAX_MODEL_TYPE_LENGTH = 50

/** The longest license. */
export const MAX_LICENSE_LENGTH = 200

/** The longest URL of a source. */
export const MAX_SOURCE_URL_LENGTH = 2_000

/** The longest tag. */
export const MAX_TAG_LENGTH = 64

/** The longest text of a search. */
export const MAX_SEARCH_LENGTH = 255

/** The longest new password. */
export const MAX_PASSWORD_LENGTH = 128

/** The largest number of words of a search. */
export const MAX_SEARCH_WORDS = 8

/** The shortest new password. */
export const MIN_PASSWORD_LENGTH = 8

/** The longest code of a pairing. */
export const MAX_USER_CODE_LENGTH = 32

/** The largest number of a model's tags. */
export const MAX_TAGS = 64

/** The largest number of required labels. */
export const MAX_LABELS = 32

/** The longest label. */
export const MAX_LABEL_LENGTH = 64

/** A regular expression of labels. */
export const LABEL_PATTERN = '^[A-Za-z0-9._-]{1,64}$'
