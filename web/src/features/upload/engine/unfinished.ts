// Unfinished uploads of earlier visits: stored bytes and discarding.

import { Problem } from '@/api/problem'
import type { Item } from '@/features/upload/engine/items'
import { abortMultipart, listStoredParts } from '@/features/upload/engine/requests'
import {
  deleteResumeRecord,
  isActiveElsewhere,
  listResumeRecords,
  type ResumeRecord,
} from '@/features/upload/engine/resumeStore'

export interface UnfinishedUpload extends ResumeRecord {
  /** Bytes that the registry holds. */
  storedBytes: number
}

/** List unfinished uploads that are not in this page or another tab; records of deleted uploads are removed. */
export async function listUnfinished(teamId: string, items: readonly Item[]): Promise<UnfinishedUpload[]> {
  const here = items.filter((one) => one.stage !== 'done')
  const isHere = (one: ResumeRecord) =>
    here.some(({ file }) => file.name === one.name && file.size === one.size && file.lastModified === one.lastModified)
  const left = listResumeRecords(teamId).filter((one) => !isHere(one) && !isActiveElsewhere(one))
  return (await Promise.all(left.map(withStoredBytes))).filter((one) => one !== undefined)
}

async function withStoredBytes(one: ResumeRecord): Promise<UnfinishedUpload | undefined> {
  if (one.sent) return { ...one, storedBytes: one.size }
  try {
    const parts = await listStoredParts({ storage_key: one.storageKey, upload_id: one.uploadId })
    return { ...one, storedBytes: parts.reduce((sum, part) => sum + part.size, 0) }
  } catch (error) {
    if (!(error instanceof Problem && error.status === 404)) throw error
    deleteResumeRecord(one)
    return undefined
  }
}

export async function discardUpload(one: ResumeRecord): Promise<void> {
  await abortMultipart({ storage_key: one.storageKey, upload_id: one.uploadId })
  deleteResumeRecord(one)
}

export function isSameFile(one: Pick<File, 'name' | 'size' | 'lastModified'>, file: File): boolean {
  return file.name === one.name && file.size === one.size && file.lastModified === one.lastModified
}
