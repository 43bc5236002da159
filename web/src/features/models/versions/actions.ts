// Actions on one version of a model, each with its notice and, where possible, undo.

import { api, unwrap } from '@/api/client'
import type { Model, ModelVersion } from '@/api/types'
import { notify, notifyError, notifyWithUndo } from '@/components/notify'
import { refreshShown } from '@/features/models/queries'

const pathOf = (model: Model, version: number) => ({ params: { path: { model_id: model.id, version } } })

async function activateVersion(model: Model, version: number): Promise<void> {
  await unwrap(api.POST('/api/v1/models/{model_id}/versions/{version}/activate', pathOf(model, version)))
  await refreshShown(model.id)
}

async function deleteVersion(model: Model, version: number): Promise<void> {
  await unwrap(api.DELETE('/api/v1/models/{model_id}/versions/{version}', pathOf(model, version)))
  await refreshShown(model.id)
}

async function restoreVersion(model: Model, version: number): Promise<void> {
  await unwrap(api.POST('/api/v1/models/{model_id}/versions/{version}/restore', pathOf(model, version)))
  await refreshShown(model.id)
}

async function updateNote(model: Model, version: number, note: string | null): Promise<void> {
  await unwrap(
    api.PUT('/api/v1/models/{model_id}/versions/{version}', {
      ...pathOf(model, version),
      body: { note: note || null },
    }),
  )
  await refreshShown(model.id)
}

/** Make a version the current one; undo activates the one that was current before. */
export async function activateWithUndo(model: Model, { version }: ModelVersion): Promise<void> {
  const { version: before, pending_version: pending } = model
  const isOvertaken = pending?.verification === 'pending' && pending.version !== version
  await activateVersion(model, version)
  const effect = model.model_status === 'active' ? ' Machines download it.' : ''
  const overtaken = isOvertaken ? ` Version ${pending.version} is superseded.` : ''
  notifyWithUndo(`Version ${version} is current now.${effect}${overtaken}`, () => activateVersion(model, before))
}

export async function deleteVersionWithUndo(model: Model, { version }: ModelVersion): Promise<void> {
  await deleteVersion(model, version)
  notifyWithUndo(`Version ${version} was moved to the trash.`, () => restoreVersion(model, version))
}

export async function restoreVersionWithUndo(model: Model, { version }: ModelVersion): Promise<void> {
  await restoreVersion(model, version)
  notifyWithUndo(`Version ${version} was restored.`, () => deleteVersion(model, version))
}

export async function updateNoteWithUndo(model: Model, { version, note }: ModelVersion, next: string): Promise<void> {
  await updateNote(model, version, next)
  notifyWithUndo(`The note of version ${version} is saved.`, () => updateNote(model, version, note))
}

/** Allow a file that the pickle scan has refused: its failed versions are verified again. */
export async function allowFile(model: Model, fileHash: string, reason: string): Promise<void> {
  await unwrap(api.PUT('/api/v1/trusted-files/{sha256}', { params: { path: { sha256: fileHash } }, body: { reason } }))
  await refreshShown(model.id)
  notify('The file is allowed. The registry verifies it again.')
}

/** Run an action, show its error as a notice, and return whether it succeeded. */
export async function runVersionAction(action: () => Promise<void>): Promise<boolean> {
  try {
    await action()
    return true
  } catch (error) {
    notifyError(error)
    return false
  }
}
