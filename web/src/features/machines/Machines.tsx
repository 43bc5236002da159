// The machines page: a live list, the matrix of models and machines, and the details of each machine.

import { Button, SegmentedControl, Text } from '@mantine/core'
import { useDisclosure } from '@mantine/hooks'
import { IconPlugConnected } from '@tabler/icons-react'
import { useNavigate, useSearch } from '@tanstack/react-router'
import { lazy, Suspense } from 'react'
import type { Agent } from '@/api/types'
import { formatCount } from '@/components/format'
import { Heading } from '@/components/Heading'
import { MACHINE_STATE_MARKS } from '@/components/MachineState'
import { Empty, LoadError, Loading, StaleDataNotice } from '@/components/placeholders'
import { Filters } from '@/features/machines/Filters'
import { FirstMachine } from '@/features/machines/FirstMachine'
import { MachineDrawer } from '@/features/machines/MachineDrawer'
import { MachineRow } from '@/features/machines/MachineRow'
import classes from '@/features/machines/machines.module.css'
import { PairDialog } from '@/features/machines/PairDialog'
import { StorageUsage } from '@/features/machines/StorageUsage'
import { type MachineSearch, machineSearch } from '@/features/machines/search'
import { filterMachines, type MachineList, useMachines } from '@/features/machines/useMachines'
import { MACHINE_STATES } from '@/generated/states'

const Matrix = lazy(() => import('@/features/machines/matrix/Matrix').then((file) => ({ default: file.Matrix })))

export function Machines() {
  const search = useSearch({ from: '/inside/machines' })
  const fleet = useMachines()
  const [isPairing, pairing] = useDisclosure(false)
  return (
    <>
      <Heading title="Machines">
        <ViewSwitch view={search.view ?? 'list'} />
        <Button leftSection={<IconPlugConnected size={16} aria-hidden />} onClick={pairing.open}>
          Pair a machine
        </Button>
      </Heading>
      <StorageUsage />
      <Content fleet={fleet} search={search} />
      <PairDialog isOpen={isPairing} onClose={pairing.close} />
      <MachineDrawer id={search.machine} fleet={fleet} />
    </>
  )
}

function ViewSwitch({ view }: { view: 'list' | 'matrix' }) {
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

function Content({ fleet, search }: { fleet: MachineList; search: MachineSearch }) {
  const { agents } = fleet
  if (!agents)
    return fleet.error ? <LoadError error={fleet.error} onRetry={fleet.retry} /> : <Loading label="Loading machines" />
  if (agents.length === 0) return <FirstMachine />
  const isMatrix = search.view === 'matrix'
  return (
    <>
      {fleet.isStale && <StaleDataNotice error={fleet.error} />}
      <Filters search={search} agents={agents} />
      {isMatrix ? (
        <Suspense fallback={<Loading label="Loading the matrix" />}>
          <Matrix search={search} agents={filterMachines(agents, { ...search, q: '' })} machines={agents.length} />
        </Suspense>
      ) : (
        <List agents={agents} shown={filterMachines(agents, search)} />
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
        <Empty title="No machines match">Change or clear the filters.</Empty>
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

/** `3 of 12 machines: 2 up to date, 1 syncing`. */
function summary(agents: Agent[], shown: Agent[]): string {
  const all = formatCount(agents.length, 'machine')
  const head = shown.length === agents.length ? all : `${shown.length.toLocaleString('en')} of ${all}`
  const parts = MACHINE_STATES.flatMap((state) => {
    const number = shown.filter(({ machine_state }) => machine_state === state).length
    return number > 0 ? `${number.toLocaleString('en')} ${MACHINE_STATE_MARKS[state].label.toLowerCase()}` : []
  })
  return parts.length ? `${head}: ${parts.join(', ')}` : head
}
