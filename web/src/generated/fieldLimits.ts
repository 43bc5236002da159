// Written by `make fix`. Do not edit. The facts are in src/modelyard/:
//     wire/accounts.py
//     wire/agent_requests/loaders.py
//     wire/credentials.py
//     wire/model_details.py
//     wire/model_filter.py
//     wire/models.py
//     wire/schemas.py
//     wire/search/grammar.py
//     wire/search/values.py
//     wire/workflows.py

/** The longest name of a team, a key or a person. */
export const MAX_NAME_LENGTH = 100

/** The longest name of a model or a file. */
export const MAX_LONG_NAME_LENGTH = 255

/** The longest description of a model. */
export const MAX_DESCRIPTION_LENGTH = 10_000

/** The longest model type. */
export const MAX_MODEL_TYPE_LENGTH = 50

/** The longest name of a node's class or input. */
export const MAX_NODE_NAME_LENGTH = 200

/** The longest license. */
export const MAX_LICENSE_LENGTH = 200

/** The longest name of an author. */
export const MAX_AUTHOR_LENGTH = 200

/** The longest URL of a source. */
export const MAX_SOURCE_URL_LENGTH = 2_000

/** The longest tag. */
export const MAX_TAG_LENGTH = 64

/** The longest name of a base model. */
export const MAX_BASE_MODEL_LENGTH = 100

/** The longest trigger word. */
export const MAX_TRIGGER_LENGTH = 500

/** The longest text of a search. */
export const MAX_SEARCH_LENGTH = 1_000

/** The longest new password. */
export const MAX_PASSWORD_LENGTH = 128

/** The largest number of words and values of a search. */
export const MAX_SEARCH_VALUES = 24

/** The qualifiers of a search. */
export const SEARCH_QUALIFIERS = [
  'type',
  'base',
  'architecture',
  'tag',
  'trigger',
  'by',
  'license',
  'hash',
  'machine',
  'missing',
  'state',
  'is',
  'size',
  'added',
  'unused',
] as const

/** The shortest new password. */
export const MIN_PASSWORD_LENGTH = 8

/** The longest code of a pairing. */
export const MAX_USER_CODE_LENGTH = 32

/** The largest number of a model's tags. */
export const MAX_TAGS = 64

/** The largest number of a model's trigger words. */
export const MAX_TRIGGER_WORDS = 50

/** The largest number of required labels. */
export const MAX_LABELS = 32

/** The longest label. */
export const MAX_LABEL_LENGTH = 64

/** The largest workflow file that can be checked, in bytes. */
export const MAX_WORKFLOW_BYTES = 67_108_864

/** A regular expression of labels. */
export const LABEL_PATTERN = '^[A-Za-z0-9._-]{1,64}$'
