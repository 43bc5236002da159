// The machines of the team, whether they can run a workflow, and sending them the models that they lack.

import { Button, Group, Text } from '@mantine/core'
import { IconSend } from '@tabler/icons-react'
import { useState } from 'react'
import { usePermissions } from '@/api/permissions'
import type { MachineReadiness } from '@/api/types'
import { type Column, DataTable } from '@/components/DataTable'
import { FirstRows } from '@/components/FirstRows'
import { formatCount } from '@/components/format'
import { AnchorLink } from '@/components/links'
import { notifyFailures } from '@/components/notify'
import { sendWithUndo } from '@/features/models/places/assignments'
import { describeReadiness, READINESS_MARKS, sortMachines } from '@/features/workflows/readiness'
import classes from '@/features/workflows/workflows.module.css'

const COLUMNS: Column<MachineReadiness>[] = [
  {
    title: 'Machine',
    cell: ({ agent_id }) => (
      <AnchorLink size="sm" to="/machines" search={{ machine: agent_id }} preload={false}>
        <bdi>{agent_id}</bdi>
      </AnchorLink>
    ),
  },
  { title: 'Can run it', cell: (machine) => <ReadinessCell machine={machine} /> },
]
const SEND_COLUMN: Column<MachineReadiness> = {
  title: 'Send models',
  isLast: true,
  cell: (machine) => machine.readiness === 'assignable' && <SendButton machine={machine} />,
}

export function MachineTable({ label, machines }: { label: string; machines: MachineReadiness[] }) {
  const { may } = usePermissions()
  const columns = may('agents_assign') ? [...COLUMNS, SEND_COLUMN] : COLUMNS
  return (
    <FirstRows rows={sortMachines(machines)}>
      {(shown) => (
        <div className={classes.machines}>
          <DataTable label={label} columns={columns} rows={shown} keyOf={({ agent_id }) => agent_id} />
        </div>
      )}
    </FirstRows>
  )
}

function ReadinessCell({ machine }: { machine: MachineReadiness }) {
  const { icon: Icon, colour } = READINESS_MARKS[machine.readiness]
  return (
    <>
      <Group gap={4} wrap="nowrap" align="flex-start">
        <Icon size={16} color={colour} aria-hidden style={{ flex: 'none', marginTop: 2 }} />
        <bdi>{describeReadiness(machine)}</bdi>
      </Group>
      {machine.readiness !== 'cannot' && machine.reason && (
        <Text size="xs" c="dimmed" component="bdi">
          {machine.reason}
        </Text>
      )}
    </>
  )
}

function SendButton({ machine: { agent_id, missing_list } }: { machine: MachineReadiness }) {
  const [isBusy, setBusy] = useState(false)
  const onSend = async () => {
    setBusy(true)
    const refused = await sendWithUndo(missing_list.map((model_id) => ({ agent_id, model_id })))
    setBusy(false)
    notifyFailures('model', 'sent', refused)
  }
  const label = `Send ${formatCount(missing_list.length, 'model')}`
  return (
    <Button
      size="compact-sm"
      variant="default"
      leftSection={<IconSend size={14} aria-hidden />}
      loading={isBusy}
      aria-label={`${label} to ${agent_id}`}
      onClick={() => void onSend()}
    >
      {label}
    </Button>
  )
}
