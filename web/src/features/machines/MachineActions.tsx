// Actions of admins on a machine. Actions that cannot be undone ask for confirmation.

import { Button, Group, Stack } from '@mantine/core'
import { IconAlertTriangle, IconPlayerPause, IconPlayerPlay, IconRefresh, IconTrash } from '@tabler/icons-react'
import { type MouseEvent, useState } from 'react'
import type { Agent } from '@/api/types'
import { Confirm } from '@/components/Confirm'
import { formatCount } from '@/components/format'
import { getTextColour } from '@/components/statusMarks'
import { approveRemoval, removeMachine, runAction, setPaused, syncNow } from '@/features/machines/actions'
import { MACHINE_TRASH_HOURS } from '@/generated/durations'

type Confirmation = 'approve' | 'remove'
type Action = Confirmation | 'pause' | 'sync'

export function MachineActions({ agent, onGone }: { agent: Agent; onGone: () => void }) {
  const [openConfirmation, setOpenConfirmation] = useState<Confirmation>()
  // The machine as it was when the question was asked: what is approved is what the question names.
  const [asked, setAsked] = useState(agent)
  const [pendingAction, setPendingAction] = useState<Action>()
  const runPending = async (name: Action, request: () => Promise<void>) => {
    setPendingAction(name)
    const isDone = await runAction(request())
    setPendingAction(undefined)
    if (isDone) setOpenConfirmation(undefined)
    return isDone
  }
  // The second click of a double click may come after the response and would revert the first one.
  const buildButtonProps = (name: Action, request: () => Promise<void>) => ({
    loading: pendingAction === name,
    disabled: pendingAction !== undefined,
    onClick: (event: MouseEvent) => void (event.detail < 2 && runPending(name, request)),
  })
  return (
    <Stack gap="xs">
      {agent.removal_waiting > 0 && agent.removal_token !== null && (
        <Button
          variant="default"
          leftSection={<IconAlertTriangle size={16} color={getTextColour('orange')} aria-hidden />}
          onClick={() => {
            setAsked(agent)
            setOpenConfirmation('approve')
          }}
        >
          Approve removal of {formatCount(agent.removal_waiting, 'file')}…
        </Button>
      )}
      <Group gap="xs">
        <Button
          size="xs"
          variant="default"
          leftSection={
            agent.paused ? <IconPlayerPlay size={14} aria-hidden /> : <IconPlayerPause size={14} aria-hidden />
          }
          {...buildButtonProps('pause', () => setPaused(agent, !agent.paused))}
        >
          {agent.paused ? 'Resume' : 'Pause'}
        </Button>
        <Button
          size="xs"
          variant="default"
          leftSection={<IconRefresh size={14} aria-hidden />}
          {...buildButtonProps('sync', () => syncNow(agent))}
        >
          Sync now
        </Button>
        <Button
          size="xs"
          variant="default"
          leftSection={<IconTrash size={14} aria-hidden />}
          onClick={() => setOpenConfirmation('remove')}
        >
          Remove machine…
        </Button>
      </Group>
      <Confirm
        title="Approve this removal?"
        verb={`Remove ${formatCount(asked.removal_waiting, 'file')}`}
        isOpen={openConfirmation === 'approve'}
        isBusy={pendingAction === 'approve'}
        onConfirm={() =>
          void runPending('approve', () => approveRemoval(asked)).then(() => setOpenConfirmation(undefined))
        }
        onClose={() => setOpenConfirmation(undefined)}
      >
        {formatCount(asked.removal_waiting, 'model file')} on <bdi>{asked.agent_id}</bdi> should no longer be there,
        which is more than the machine removes without approval. Removed files stay in its trash for{' '}
        {formatCount(MACHINE_TRASH_HOURS, 'hour')}, or until the disk space is needed; enabling a model restores its
        file from there.
      </Confirm>
      <Confirm
        title="Remove this machine?"
        verb="Remove machine"
        isOpen={openConfirmation === 'remove'}
        isBusy={pendingAction === 'remove'}
        onConfirm={() => void runPending('remove', () => removeMachine(agent)).then((isDone) => isDone && onGone())}
        onClose={() => setOpenConfirmation(undefined)}
      >
        <bdi>{agent.agent_id}</bdi> is removed from this list; the files on it stay. If its agent still runs, the
        machine comes back: revoke its key under Keys as well.
      </Confirm>
    </Stack>
  )
}
