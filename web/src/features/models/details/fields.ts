// The fields of a record that people edit: as texts in a form, and as a change for the registry.

import type { Model, ModelUpdate } from '@/api/types'

export interface Fields {
  display_name: string
  model_type: string
  model_path: string
  description: string
  tags: string[]
  author: string
  license: string
  source_url: string
  required_labels: string[]
}

export const LABELS: Record<keyof Fields, string> = {
  display_name: 'Name',
  model_type: 'Type',
  model_path: 'Path',
  description: 'Description',
  tags: 'Tags',
  author: 'Author',
  license: 'Licence',
  source_url: 'Source',
  required_labels: 'Required labels',
}
const NULLABLE = ['description', 'author', 'license', 'source_url'] as const

export function getFields(model: Model): Fields {
  const { display_name, model_type, model_path, tags, required_labels } = model
  const texts = {
    description: model.description ?? '',
    ...getOwnTexts(model),
    source_url: model.source_url ?? '',
  }
  return { display_name, model_type, model_path, tags, required_labels, ...texts }
}

/** What a person entered: a value of the file is no text of the form, so that saving does not make it a person's. */
function getOwnTexts({ author, author_source, license, license_source }: Model): Pick<Fields, 'author' | 'license'> {
  return {
    author: author_source === 'person' ? (author ?? '') : '',
    license: license_source === 'person' ? (license ?? '') : '',
  }
}

/** What the file, or one beside it, says of a field; undefined while a person's value hides that of a file beside it. */
export function getFileText(model: Model, name: 'author' | 'license'): string | undefined {
  const shown = model[`${name}_source`] === 'person' ? undefined : model[name]
  return shown ?? model.details[name] ?? undefined
}

/** The names of the fields in which these two differ. */
export function getChangedFields(one: Fields, other: Fields): (keyof Fields)[] {
  return (Object.keys(LABELS) as (keyof Fields)[]).filter((name) => String(one[name]) !== String(other[name]))
}

/** Build the update of these fields; empty optional texts become null. */
export function buildUpdate(fields: Fields, names: (keyof Fields)[]): ModelUpdate {
  const entries = names.map((name) => [
    name,
    NULLABLE.some((one) => one === name) && !fields[name] ? null : fields[name],
  ])
  return Object.fromEntries(entries) as ModelUpdate
}
