// The workflow files that are being checked. They stay while other views are shown, until the page is closed.

import { useSyncExternalStore } from 'react'
import { cleanName } from '@/api/names'
import { onIdentityChange } from '@/api/session'

export interface WorkflowFile {
  id: number
  name: string
  file: File
}

/** A folder of generated pictures has thousands. */
export const MAX_FILES = 20

let files: readonly WorkflowFile[] = []
let lastId = 0
const listeners = new Set<() => void>()

/** Add files before those that are shown; returns how many were left out. */
export function addWorkflowFiles(added: readonly File[]): number {
  const taken = added.slice(0, MAX_FILES)
  const newer = taken.map((file) => {
    lastId += 1
    return { id: lastId, name: cleanName(file.name), file }
  })
  setFiles([...newer, ...files].slice(0, MAX_FILES))
  return added.length - taken.length
}

export function removeWorkflowFile(id: number): void {
  setFiles(files.filter((one) => one.id !== id))
}

export function useWorkflowFiles(): readonly WorkflowFile[] {
  return useSyncExternalStore(subscribe, () => files)
}

function setFiles(next: readonly WorkflowFile[]): void {
  files = next
  for (const listener of listeners) listener()
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener)
  return () => listeners.delete(listener)
}

// What was checked belongs to one person in one team.
onIdentityChange(() => setFiles([]))
