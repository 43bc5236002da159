// What is wrong with the content of a version: damaged since it was verified, or never verified, and why.

import type { Model, ModelVersion } from '@/api/types'

/**
 * Whether content that was verified once has changed in the store since. A model that has never had a current version
 * shows its pending one: that was never verified.
 */
export function isDamaged({
  verification,
  version,
  pending_version: pending,
}: Pick<Model, 'verification' | 'version' | 'pending_version'>): boolean {
  return verification === 'failed' && pending?.version !== version
}

/** The same for one version of a model. */
export function isVersionDamaged({
  verification,
  version_status,
}: Pick<ModelVersion, 'verification' | 'version_status'>): boolean {
  return verification === 'failed' && version_status !== 'failed'
}

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
