// What admins can tell a machine. What cannot be undone is asked about first.

import { Button, Group, Stack } from '@mantine/core'
import { IconAlertTriangle, IconPlayerPause, IconPlayerPlay, IconRefresh, IconTrash } from '@tabler/icons-react'
import { type MouseEvent, useState } from 'react'
import type { Agent } from '@/api/types'
import { Confirm } from '@/parts/Confirm'
import { readable } from '@/parts/marks'
import { count } from '@/parts/words'
import { forgetMachine, lookNow, releaseRemoval, setPaused, tried } from '@/views/machines/actions'

type Asked = 'release' | 'forget'
type Told = Asked | 'pause' | 'look'

export function MachineActions({ agent, onGone }: { agent: Agent; onGone: () => void }) {
  const [asked, setAsked] = useState<Asked>()
  const [told, setTold] = useState<Told>()
  const act = async (name: Told, what: () => Promise<void>) => {
    setTold(name)
    const isDone = await tried(what())
    setTold(undefined)
    if (isDone) setAsked(undefined)
    return isDone
  }
  // The second click of a double click may come after the answer, and would take back what the first one did.
  const button = (name: Told, what: () => Promise<void>) => ({
    loading: told === name,
    disabled: told !== undefined,
    onClick: (event: MouseEvent) => void (event.detail < 2 && act(name, what)),
  })
  return (
    <Stack gap="xs">
      {agent.removal_waiting > 0 && (
        <Button
          variant="default"
          leftSection={<IconAlertTriangle size={16} color={readable('orange')} aria-hidden />}
          onClick={() => setAsked('release')}
        >
          Release the removal of {count(agent.removal_waiting, 'file')}…
        </Button>
      )}
      <Group gap="xs">
        <Button
          size="xs"
          variant="default"
          leftSection={
            agent.paused ? <IconPlayerPlay size={14} aria-hidden /> : <IconPlayerPause size={14} aria-hidden />
          }
          {...button('pause', () => setPaused(agent, !agent.paused))}
        >
          {agent.paused ? 'Resume' : 'Pause'}
        </Button>
        <Button
          size="xs"
          variant="default"
          leftSection={<IconRefresh size={14} aria-hidden />}
          {...button('look', () => lookNow(agent))}
        >
          Look now
        </Button>
        <Button
          size="xs"
          variant="default"
          leftSection={<IconTrash size={14} aria-hidden />}
          onClick={() => setAsked('forget')}
        >
          Forget…
        </Button>
      </Group>
      <Confirm
        title="Release this removal?"
        verb={`Remove ${count(agent.removal_waiting, 'file')}`}
        isOpen={asked === 'release'}
        isBusy={told === 'release'}
        onConfirm={() => void act('release', () => releaseRemoval(agent))}
        onClose={() => setAsked(undefined)}
      >
        {count(agent.removal_waiting, 'model file')} on <bdi>{agent.agent_id}</bdi> should not be there any more, which
        is more than the machine removes without asking. What it removes rests in its trash for 24 hours, or until the
        room is needed; enabling a model brings its file back from there.
      </Confirm>
      <Confirm
        title="Forget this machine?"
        verb="Forget"
        isOpen={asked === 'forget'}
        isBusy={told === 'forget'}
        onConfirm={() => void act('forget', () => forgetMachine(agent)).then((isDone) => isDone && onGone())}
        onClose={() => setAsked(undefined)}
      >
        <bdi>{agent.agent_id}</bdi> leaves this list; the files on it stay. If its agent still runs it comes back, so
        revoke its key as well, under Keys.
      </Confirm>
    </Stack>
  )
}
