// Why the registry has refused the content of a version, as its metadata says.

import type { Model, ModelVersion } from '@/api/types'

/** Return what the pickle scan said of content that was refused; undefined if it is no pickle or was not refused. */
function getScanResult({ verification, metadata }: Pick<ModelVersion, 'verification' | 'metadata'>) {
  const refusal = metadata.refusal as { pickle_scan?: string } | undefined
  return verification === 'failed' ? refusal?.pickle_scan : undefined
}

/** Whether the pickle scan has refused the file, so that an admin may allow it. */
export function isRefusedByScan(version: ModelVersion): boolean {
  return getScanResult(version) === 'refused'
}

/** Whether a pickle file holds tensors only, and was refused since the team kept such files only to convert them then. */
export function isKeptToConvert(model: Pick<Model, 'verification' | 'metadata'>): boolean {
  return getScanResult(model) === 'clean'
}
