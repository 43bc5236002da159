// What is said in passing, in a corner: what was done, with a way back where there is one, and what was refused.

import { Button, Group, Text } from '@mantine/core'
import type { NotificationData } from '@mantine/notifications'
import { asProblem } from '@/api/problem'
import { need } from '@/parts/Notices'

const UNDO_MILLISECONDS = 10_000

let shown = 0

/** Show a notice; gives the id by which it is hidden. */
export function show(notice: NotificationData): string {
  shown += 1
  const id = `notice-${shown}`
  void need().then(({ notifications }) => notifications.show({ ...notice, id }), unheard)
  return id
}

export function hide(id: string): void {
  void need().then(({ notifications }) => notifications.hide(id), unheard)
}

/** The corner itself could not be loaded: there is no place to say so. */
function unheard(): void {}

export function said(message: string): void {
  show({ message })
}

/** Say what somebody must not miss: it stays until it is closed. */
export function told(message: string): void {
  show({ message, color: 'yellow', autoClose: false, closeButtonProps: { 'aria-label': 'Close' } })
}

/** Say what was done, and offer to undo it for a while. */
export function done(message: string, undo: () => void | Promise<void>): void {
  const id = show({
    autoClose: UNDO_MILLISECONDS,
    message: (
      <Group justify="space-between" wrap="nowrap">
        <Text size="sm">{message}</Text>
        <Button size="compact-sm" variant="light" onClick={() => void takeBack(id, undo)}>
          Undo
        </Button>
      </Group>
    ),
  })
}

/** Say what the registry refused, in its own words. They stay until they are closed. */
export function failed(error: unknown): void {
  const problem = asProblem(error)
  const fields = Object.entries(problem.fields).map(([field, message]) => `${field}: ${message}`)
  show({
    color: 'red',
    title: problem.title,
    message: [problem.message, ...fields].join(' '),
    autoClose: false,
    withCloseButton: true,
    closeButtonProps: { 'aria-label': 'Close' },
  })
}

async function takeBack(id: string, undo: () => void | Promise<void>): Promise<void> {
  hide(id)
  try {
    await undo()
  } catch (error) {
    failed(error)
  }
}
