// The team's machines: a list that is always as they are now, the matrix of models and machines, and what each one has.

import { Button, SegmentedControl, Text } from '@mantine/core'
import { useDisclosure } from '@mantine/hooks'
import { IconPlugConnected } from '@tabler/icons-react'
import { useNavigate, useSearch } from '@tanstack/react-router'
import { lazy, Suspense } from 'react'
import type { Agent } from '@/api/types'
import { Heading } from '@/parts/Heading'
import { Empty, Failed, Loading, MayBeOld } from '@/parts/states'
import { count } from '@/parts/words'
import { Filters } from '@/views/machines/Filters'
import { FirstMachine } from '@/views/machines/FirstMachine'
import { type Fleet, matching, useFleet } from '@/views/machines/fleet'
import { MachineDrawer } from '@/views/machines/MachineDrawer'
import { MachineRow } from '@/views/machines/MachineRow'
import classes from '@/views/machines/machines.module.css'
import { PairDialog } from '@/views/machines/PairDialog'
import { Room } from '@/views/machines/Room'
import { type MachineSearch, machineSearch } from '@/views/machines/search'

const Matrix = lazy(() => import('@/views/machines/matrix/Matrix').then((file) => ({ default: file.Matrix })))

export function Machines() {
  const search = useSearch({ from: '/inside/machines' })
  const fleet = useFleet()
  const [isPairing, pairing] = useDisclosure(false)
  return (
    <>
      <Heading title="Machines">
        <Ways view={search.view ?? 'list'} />
        <Button leftSection={<IconPlugConnected size={16} aria-hidden />} onClick={pairing.open}>
          Pair a machine
        </Button>
      </Heading>
      <Room />
      <Content fleet={fleet} search={search} />
      <PairDialog isOpen={isPairing} onClose={pairing.close} />
      <MachineDrawer id={search.machine} fleet={fleet} />
    </>
  )
}

function Ways({ view }: { view: 'list' | 'matrix' }) {
  const navigate = useNavigate()
  return (
    <SegmentedControl
      aria-label="View"
      value={view}
      onChange={(chosen) =>
        void navigate({
          to: '/machines',
          search: (before: object) => machineSearch({ ...before, q: '', view: chosen }),
        })
      }
      data={[
        { value: 'list', label: 'List' },
        { value: 'matrix', label: 'Matrix' },
      ]}
    />
  )
}

function Content({ fleet, search }: { fleet: Fleet; search: MachineSearch }) {
  const { agents } = fleet
  if (!agents)
    return fleet.error ? <Failed error={fleet.error} again={fleet.again} /> : <Loading what="Loading machines" />
  if (agents.length === 0) return <FirstMachine />
  const isMatrix = search.view === 'matrix'
  return (
    <>
      {fleet.isOld && <MayBeOld error={fleet.error} />}
      <Filters search={search} agents={agents} />
      {isMatrix ? (
        <Suspense fallback={<Loading what="Loading the matrix" />}>
          <Matrix search={search} agents={matching(agents, { ...search, q: '' })} />
        </Suspense>
      ) : (
        <List agents={agents} shown={matching(agents, search)} />
      )}
    </>
  )
}

function List({ agents, shown }: { agents: Agent[]; shown: Agent[] }) {
  return (
    <>
      <Text size="sm" c="dimmed" role="status" mb="xs">
        {summary(agents, shown)}
      </Text>
      {shown.length === 0 ? (
        <Empty title="No such machine">No machine fits these filters.</Empty>
      ) : (
        <ul className={classes.list} aria-label="Machines">
          {shown.map((agent) => (
            <MachineRow key={agent.agent_id} agent={agent} />
          ))}
        </ul>
      )}
    </>
  )
}

/** `3 of 12 machines: 2 idle, 1 syncing`. */
function summary(agents: Agent[], shown: Agent[]): string {
  const all = count(agents.length, 'machine')
  const head = shown.length === agents.length ? all : `${shown.length.toLocaleString('en')} of ${all}`
  const counts = new Map<string, number>()
  for (const { agent_status } of shown) counts.set(agent_status, (counts.get(agent_status) ?? 0) + 1)
  const parts = [...counts].sort().map(([status, number]) => `${number.toLocaleString('en')} ${status}`)
  return parts.length ? `${head}: ${parts.join(', ')}` : head
}
