// The last roll-out of a collection: its state and machines. Admins start, approve, stop and roll back.

import { Alert, Button, Group, Stack, Text } from '@mantine/core'
import { useDisclosure } from '@mantine/hooks'
import type { Collection, Rollout, RolloutMachine } from '@/api/types'
import { Ago } from '@/components/Ago'
import { Confirm } from '@/components/Confirm'
import { type Column, DataTable } from '@/components/DataTable'
import { AnchorLink } from '@/components/links'
import { Panel } from '@/components/Panel'
import { LoadError, Loading } from '@/components/placeholders'
import { LabelledMark } from '@/components/statusMarks'
import { CreatorName } from '@/features/collections/Collections'
import { getColour, MACHINE_MARKS, STATE_TEXTS, STATE_TITLES } from '@/features/collections/rollouts/marks'
import { RolloutDialog } from '@/features/collections/rollouts/RolloutDialog'
import { changeRollout, isRunning, setHeld, useLastRollout } from '@/features/collections/rollouts/requests'
import { useChange } from '@/features/collections/useChange'
import { useCollectionRights } from '@/features/collections/useCollectionRights'

const COLUMNS: Column<RolloutMachine>[] = [
  {
    title: 'Machine',
    cell: ({ agent_id, is_canary }) => (
      <>
        <AnchorLink size="sm" to="/machines" search={{ machine: agent_id }} preload={false}>
          <bdi>{agent_id}</bdi>
        </AnchorLink>
        {is_canary && (
          <Text span size="xs" c="dimmed">
            {' '}
            canary
          </Text>
        )}
      </>
    ),
  },
  { title: 'State', isShort: true, cell: ({ state }) => <LabelledMark mark={MACHINE_MARKS[state]} /> },
  { title: 'Models', isShort: true, cell: ({ models_ready, models_total }) => `${models_ready} of ${models_total}` },
  {
    title: 'Reason',
    cell: ({ model_path, reason }) =>
      reason ? (
        <bdi style={{ overflowWrap: 'anywhere' }}>
          {model_path}: {reason}
        </bdi>
      ) : (
        <span aria-hidden>–</span>
      ),
  },
]

export function Rollouts({ collection }: { collection: Collection }) {
  const { maySubscribe: mayRollOut } = useCollectionRights()
  const { data: last, error, refetch } = useLastRollout(collection.id)
  const [isOpen, dialog] = useDisclosure(false)
  if (last === null && !mayRollOut) return null
  return (
    <Panel
      title="Roll-out"
      actions={
        mayRollOut && (
          <>
            <HoldButton collection={collection} />
            <Button size="compact-sm" variant="default" disabled={isRunning(last)} onClick={dialog.open}>
              Roll out…
            </Button>
          </>
        )
      }
    >
      {last === undefined &&
        (error ? <LoadError error={error} onRetry={() => void refetch()} /> : <Loading label="Loading the roll-out" />)}
      <Text size="sm" c="dimmed">
        {collection.is_held
          ? 'New versions of this collection reach machines by a roll-out only (held).'
          : 'New versions reach machines at once. Hold the collection to try them on some machines first.'}
      </Text>
      {last && <LastRollout rollout={last} mayChange={mayRollOut} />}
      {mayRollOut && <RolloutDialog collection={collection} isOpen={isOpen} onClose={dialog.close} />}
    </Panel>
  )
}

function HoldButton({ collection }: { collection: Collection }) {
  const [isBusy, run] = useChange()
  const { is_held: isHeld } = collection
  return (
    <Button
      size="compact-sm"
      variant="default"
      loading={isBusy}
      onClick={() => run(() => setHeld(collection, !isHeld))}
    >
      {isHeld ? 'End hold' : 'Hold new versions'}
    </Button>
  )
}

function LastRollout({ rollout, mayChange }: { rollout: Rollout; mayChange: boolean }) {
  const { version, state, reason, progress, created_by, created_at } = rollout
  return (
    <Stack gap="sm">
      <Alert color={getColour(state)} title={`Version ${version}: ${STATE_TITLES[state]}`}>
        <Text size="sm">{STATE_TEXTS[state]}</Text>
        {reason && (
          <Text size="sm" mt={4} style={{ overflowWrap: 'anywhere' }}>
            <bdi>{reason}</bdi>
          </Text>
        )}
        {progress && <Counts progress={progress} />}
        <Text size="xs" c="dimmed" mt={4} component="div">
          Started <Ago time={created_at} /> by <CreatorName creator={created_by} />
        </Text>
        {mayChange && <RolloutButtons rollout={rollout} />}
      </Alert>
      {progress && progress.machine_list.length > 0 && (
        <DataTable
          label="Machines of the roll-out"
          columns={COLUMNS}
          rows={progress.machine_list}
          keyOf={({ agent_id }) => agent_id}
        />
      )}
    </Stack>
  )
}

function Counts({ progress: { canaries, others } }: { progress: NonNullable<Rollout['progress']> }) {
  const texts = [describeCounts('Canaries', canaries), describeCounts('Other machines', others)]
  return (
    <Text size="sm" mt={4}>
      {texts.filter(Boolean).join(' ')}
    </Text>
  )
}

function describeCounts(name: string, counts: NonNullable<Rollout['progress']>['canaries']): string {
  if (counts.machine_count === 0) return ''
  const parts = (['ready', 'waiting', 'failed', 'offline', 'held'] as const)
    .filter((state) => counts[state] > 0)
    .map((state) => `${counts[state]} ${state}`)
  return `${name}: ${parts.join(', ')}.`
}

function RolloutButtons({ rollout }: { rollout: Rollout }) {
  const [isBusy, run] = useChange()
  const { version, previous_version, state, reason, obstacle } = rollout
  const change = (action: Parameters<typeof changeRollout>[1], message: string) => () =>
    run(() => changeRollout(rollout, action, message))
  if (state === 'rolled_back' || state === 'replaced') return null
  return (
    <Group gap="xs" mt="xs">
      {state === 'waiting_for_approval' && (
        <Button
          size="compact-sm"
          loading={isBusy}
          onClick={change('approve', `Version ${version} goes to all subscribed machines.`)}
        >
          Approve
        </Button>
      )}
      {obstacle && reason && (
        <SkipCanaries
          reason={reason}
          isBusy={isBusy}
          onSkip={change('approve without canaries', `Version ${version} goes to all subscribed machines.`)}
        />
      )}
      {isRunning(rollout) && (
        <Button
          size="compact-sm"
          variant="default"
          disabled={isBusy}
          onClick={change('stop', `The roll-out of version ${version} was stopped.`)}
        >
          Stop
        </Button>
      )}
      <Button
        size="compact-sm"
        variant="default"
        disabled={isBusy}
        onClick={change('roll-back', `Subscribed machines get version ${previous_version} again.`)}
      >
        Roll back to version {previous_version}
      </Button>
    </Group>
  )
}

/** Lets a roll-out go on of which no canary can get ready, after a question that explains it. */
function SkipCanaries({ reason, isBusy, onSkip }: { reason: string; isBusy: boolean; onSkip: () => void }) {
  const [isOpen, dialog] = useDisclosure(false)
  const onConfirm = () => {
    dialog.close()
    onSkip()
  }
  return (
    <>
      <Button size="compact-sm" variant="default" disabled={isBusy} onClick={dialog.open}>
        Go on without canaries…
      </Button>
      <Confirm
        title="Go on without canaries?"
        verb="Send to all machines"
        isOpen={isOpen}
        onConfirm={onConfirm}
        onClose={dialog.close}
      >
        {reason} No machine has tested this version: all subscribed machines get it at once. The canaries get it when
        they are back. The audit log says who went on, and why.
      </Confirm>
    </>
  )
}
