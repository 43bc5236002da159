// The machines that get a collection: one by name, or all with a label. Admins change them.

import { Button, Select, Stack, Text } from '@mantine/core'
import { IconPlus } from '@tabler/icons-react'
import { useState } from 'react'
import type { Agent, Collection, Subscription } from '@/api/types'
import { Ago } from '@/components/Ago'
import { type Column, DataTable } from '@/components/DataTable'
import { AnchorLink } from '@/components/links'
import { MachineState } from '@/components/MachineState'
import { Panel } from '@/components/Panel'
import { LoadError, Loading } from '@/components/placeholders'
import { CreatorName } from '@/features/collections/Collections'
import classes from '@/features/collections/collections.module.css'
import { PinButton } from '@/features/collections/subscriptions/PinButton'
import { subscribeWithUndo, unsubscribeWithUndo, useSubscriptions } from '@/features/collections/subscriptions/requests'
import { listChoices, listMachines, parseChoice } from '@/features/collections/subscriptions/targets'
import { useChange } from '@/features/collections/useChange'
import { useCollectionRights } from '@/features/collections/useCollectionRights'
import { useMachines } from '@/features/machines/useMachines'

/** A few machines are named with their states, the others counted. */
const MAX_NAMED = 8

export function Subscriptions({ collection }: { collection: Collection }) {
  const { maySubscribe: mayEdit } = useCollectionRights()
  const { data, error, refetch } = useSubscriptions(collection.id)
  const { agents = [] } = useMachines()
  return (
    <Panel title="Machines" actions={mayEdit && <PinButton collection={collection} />}>
      {!data &&
        (error ? (
          <LoadError error={error} onRetry={() => void refetch()} />
        ) : (
          <Loading label="Loading the subscriptions" />
        ))}
      {data && mayEdit && <SubscribeField collection={collection} subscribed={data} agents={agents} />}
      {data && (
        <Text size="sm" c="dimmed">
          {data.length === 0 && 'No machines are subscribed. '}
          Subscribed machines hold the models of{' '}
          {collection.rolled_out_version === collection.version
            ? 'the newest version'
            : `version ${collection.rolled_out_version}`}
          , at{' '}
          {collection.is_pinned
            ? 'exactly the versions that it lists (pinned)'
            : 'the versions that are current in the registry'}
          .
        </Text>
      )}
      {data && data.length > 0 && (
        <div className={classes.subscriptions}>
          <DataTable
            label="Subscriptions"
            columns={buildColumns(collection, agents, mayEdit)}
            rows={data}
            keyOf={({ id }) => id}
          />
        </div>
      )}
    </Panel>
  )
}

interface SubscribeFieldProps {
  collection: Collection
  subscribed: Subscription[]
  agents: Agent[]
}

function SubscribeField({ collection, subscribed, agents }: SubscribeFieldProps) {
  const [typed, setTyped] = useState('')
  const [isBusy, run] = useChange()
  const onChoose = (value: string | null) => {
    if (value === null) return
    setTyped('')
    run(() => subscribeWithUndo(collection, parseChoice(value)))
  }
  return (
    <Select
      label="Subscribe machines"
      placeholder="Label or machine"
      leftSection={<IconPlus size={16} aria-hidden />}
      maw={480}
      searchable
      readOnly={isBusy}
      value={null}
      onChange={onChoose}
      searchValue={typed}
      onSearchChange={setTyped}
      // `listChoices` has filtered already.
      filter={({ options }) => options}
      data={listChoices(agents, subscribed, typed)}
      nothingFoundMessage="No other labels or machines match."
    />
  )
}

function buildColumns(collection: Collection, agents: Agent[], mayEdit: boolean): Column<Subscription>[] {
  const columns: Column<Subscription>[] = [
    { title: 'Subscribed', cell: (subscription) => <Target subscription={subscription} /> },
    { title: 'Machines', cell: (subscription) => <MachineNames machines={listMachines(agents, subscription)} /> },
    {
      title: 'Since',
      isShort: true,
      cell: ({ created_at, created_by }) => (
        <>
          <Ago time={created_at} />, <CreatorName creator={created_by} />
        </>
      ),
    },
  ]
  if (!mayEdit) return columns
  const cell = (subscription: Subscription) => <EndButton collection={collection} subscription={subscription} />
  return [...columns, { title: 'End', isLast: true, cell }]
}

function Target({ subscription: { label, agent_id } }: { subscription: Subscription }) {
  if (label === null) return <bdi>{agent_id}</bdi>
  return (
    <>
      All with the label <bdi className={classes.label}>{label}</bdi>
    </>
  )
}

function MachineNames({ machines }: { machines: Agent[] }) {
  const more = machines.length - MAX_NAMED
  if (machines.length === 0) return <Text size="sm">None now</Text>
  return (
    <Stack gap={2}>
      {machines.slice(0, MAX_NAMED).map((agent) => (
        <div key={agent.agent_id} className={classes.machine}>
          <AnchorLink size="sm" to="/machines" search={{ machine: agent.agent_id }} preload={false}>
            <bdi>{agent.agent_id}</bdi>
          </AnchorLink>
          <MachineState agent={agent} />
        </div>
      ))}
      {more > 0 && <Text size="sm">and {more} more</Text>}
    </Stack>
  )
}

function EndButton({ collection, subscription }: { collection: Collection; subscription: Subscription }) {
  const [isBusy, run] = useChange()
  const name = subscription.label ?? subscription.agent_id
  return (
    <Button
      size="compact-sm"
      variant="default"
      loading={isBusy}
      aria-label={`End the subscription of ${name}`}
      onClick={() => run(() => unsubscribeWithUndo(collection, subscription))}
    >
      End
    </Button>
  )
}
