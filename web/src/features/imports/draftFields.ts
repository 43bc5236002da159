// The fields of a draft that a person may change, and the import of a draft as it was confirmed.

import type { ImportDraft, Model, NewImport, SourceFile } from '@/api/types'
import { findPathProblem, getExtension, getTypeOfPath } from '@/features/upload/engine/suggestPath'

export interface DraftFields {
  name: string
  /** Below the models folder; its first folder is the type. */
  path: string
  baseModel: string
  triggerWords: string[]
  license: string
}

/**
 * Return the fields as the source says; `neededPath` is where a workflow looks for the file. A model whose next version
 * the draft becomes keeps its name and path.
 */
export function readDraft(draft: ImportDraft, neededPath?: string, replaces?: Model): DraftFields {
  const ownPath = neededPath && fits(draft, neededPath) ? neededPath : `models/${draft.model_path}`
  return {
    name: replaces?.display_name ?? draft.display_name,
    path: replaces?.model_path ?? ownPath,
    baseModel: draft.base_model ?? '',
    triggerWords: draft.trigger_words,
    license: draft.license ?? '',
  }
}

/** Return whether a file of the draft can have this path: it is valid, and the format is the same. */
function fits({ file_name }: ImportDraft, path: string): boolean {
  return getExtension(path) === getExtension(file_name) && findPathProblem(path) === undefined
}

/**
 * Return the import of a draft. What the source says of base model, trigger words and license is sent as its claim, which the
 * file's own data takes precedence over; what a person entered takes precedence over both.
 */
export function confirmDraft(draft: ImportDraft, fields: DraftFields, replaces?: Model): NewImport {
  const baseModel = fields.baseModel.trim()
  const isSameBase = baseModel === (draft.base_model ?? '')
  const areSameWords = fields.triggerWords.join('\n') === draft.trigger_words.join('\n')
  const license = fields.license.trim()
  const isSameLicense = license === (draft.license ?? '')
  return {
    url: draft.url,
    ...(draft.size !== null && { file_size: draft.size }),
    ...(draft.hashes.sha256 && { file_hash: draft.hashes.sha256 }),
    display_name: fields.name.trim(),
    keeps_name: fields.name === readDraft(draft, undefined, replaces).name,
    model_type: replaces?.model_type ?? getTypeOfPath(fields.path),
    model_path: fields.path,
    ...(replaces && { replaces: replaces.id }),
    source_url: draft.source.page_url,
    sidecar: {
      base_model: isSameBase ? draft.base_model : null,
      trigger_words: areSameWords ? draft.trigger_words : [],
      license: isSameLicense ? draft.license : null,
    },
    ...(!isSameBase && baseModel && { base_model: baseModel }),
    ...(!isSameLicense && license && { license }),
    ...(!areSameWords && { trigger_words: fields.triggerWords }),
  }
}

/** Return the path of a file of a source as its draft suggests it. */
export function buildFilePath({ model_type, file_name }: SourceFile): string {
  return `models/${model_type}/${file_name}`
}

/** Return the import of a file of a draft, which keeps what the source says about all files. */
export function confirmFile(draft: ImportDraft, file: SourceFile): NewImport {
  if (file.url === draft.url) return confirmDraft(draft, readDraft(draft))
  const { source } = draft
  const page_url = source.kind === 'huggingface' ? file.url.replace('/resolve/', '/blob/') : source.page_url
  const own: ImportDraft = {
    ...draft,
    url: file.url,
    source: { ...source, page_url },
    file_name: file.file_name,
    size: file.size,
    hashes: { sha256: file.sha256 },
    display_name: file.file_name.replace(/(?<=.)\.[^.]*$/u, ''),
    model_type: file.model_type,
    model_path: `${file.model_type}/${file.file_name}`,
  }
  return confirmDraft(own, readDraft(own))
}

/** Return the path that two of the files would have, of which machines may ignore the case. */
export function findSharedPath(files: SourceFile[]): string | undefined {
  const paths = new Set<string>()
  return files.map(buildFilePath).find((path) => paths.size === paths.add(path.toLowerCase()).size)
}
