// Notices: completed actions, with undo where possible, and errors.

import { Button, Group, Text } from '@mantine/core'
import type { NotificationData } from '@mantine/notifications'
import { asProblem } from '@/api/problem'
import { type BatchResult, groupByReason } from '@/api/runBatch'
import { formatCount } from '@/components/format'
import { loadNotifications } from '@/components/Notices'

/** How long an action can be undone. */
export const UNDO_MILLISECONDS = 10_000

let lastId = 0

/** Show a notice; returns the id to hide it. */
export function showNotice(notice: NotificationData): string {
  lastId += 1
  const id = `notice-${lastId}`
  void loadNotifications().then(({ notifications }) => notifications.show({ ...notice, id }), ignoreLoadError)
  return id
}

export function hideNotice(id: string): void {
  void loadNotifications().then(({ notifications }) => notifications.hide(id), ignoreLoadError)
}

/** The notifications library itself could not be loaded, so the failure cannot be shown. */
function ignoreLoadError(): void {}

export function notify(message: string): void {
  showNotice({ message })
}

/** Show an important notice that stays until it is closed. */
export function notifyUntilClosed(message: string): void {
  showNotice({ message, color: 'yellow', autoClose: false, closeButtonProps: { 'aria-label': 'Close' } })
}

/** Show how many items of a batch failed and why; nothing if none did. */
export function notifyFailures(noun: string, did: string, refused: BatchResult<unknown>['refused']): void {
  if (refused.length === 0) return
  const reasons = [...groupByReason(refused).keys()].join(' ')
  notifyUntilClosed(`${formatCount(refused.length, noun)} could not be ${did}. ${reasons}`)
}

/** Show what was done, with an undo button for `UNDO_MILLISECONDS`. */
export function notifyWithUndo(message: string, undo: () => void | Promise<void>): void {
  const id = showNotice({
    autoClose: UNDO_MILLISECONDS,
    message: (
      <Group justify="space-between" wrap="nowrap">
        <Text size="sm">{message}</Text>
        <Button size="compact-sm" variant="light" onClick={() => void runUndo(id, undo)}>
          Undo
        </Button>
      </Group>
    ),
  })
}

/** Show a problem with the registry's text; the notice stays until it is closed. */
export function notifyError(error: unknown): void {
  const problem = asProblem(error)
  const fields = Object.entries(problem.fields).map(([field, message]) => `${field}: ${message}`)
  showNotice({
    color: 'red',
    title: problem.title,
    message: [problem.message, ...fields].join(' '),
    autoClose: false,
    withCloseButton: true,
    closeButtonProps: { 'aria-label': 'Close' },
  })
}

async function runUndo(id: string, undo: () => void | Promise<void>): Promise<void> {
  hideNotice(id)
  try {
    await undo()
  } catch (error) {
    notifyError(error)
  }
}
