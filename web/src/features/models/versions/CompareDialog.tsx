// Two versions of a model side by side; facts that differ are marked.

import { Group, Modal, NativeSelect, Stack, Switch, Text, VisuallyHidden } from '@mantine/core'
import { IconArrowsDiff } from '@tabler/icons-react'
import { useState } from 'react'
import type { ModelVersion } from '@/api/types'
import { useLastDefined } from '@/components/useLastDefined'
import { type ComparedFact, compareVersions } from '@/features/models/versions/compareVersions'
import classes from '@/features/models/versions/versions.module.css'

interface CompareDialogProps {
  /** The version to compare; undefined while the dialog is closed. */
  chosen: ModelVersion | undefined
  /** All loaded versions, the current one first. */
  versions: ModelVersion[]
  onClose: () => void
}

export function CompareDialog({ chosen, versions, onClose }: CompareDialogProps) {
  const shown = useLastDefined(chosen)
  return (
    <Modal opened={chosen !== undefined} onClose={onClose} title="Compare versions" size="xl">
      {shown && <Comparison key={shown.version} chosen={shown} versions={versions} />}
    </Modal>
  )
}

function Comparison({ chosen, versions }: { chosen: ModelVersion; versions: ModelVersion[] }) {
  // The other one is at first the current version, or the newest one for the current version itself.
  const [left, setLeft] = useState(versions.find(({ version }) => version !== chosen.version)?.version ?? 0)
  const [right, setRight] = useState(chosen.version)
  const [isShort, setShort] = useState(false)
  const find = (number: number) => versions.find(({ version }) => version === number) ?? chosen
  const facts = compareVersions(find(left), find(right))
  const different = facts.filter(({ isSame }) => !isSame)
  const options = versions
    .toSorted((one, other) => other.version - one.version)
    .map(({ version, version_status }) => ({
      value: String(version),
      label: version_status === 'current' ? `Version ${version}, current` : `Version ${version}`,
    }))
  return (
    <Stack>
      <Group grow>
        <NativeSelect
          label="Compare"
          data={options}
          value={String(left)}
          onChange={(event) => setLeft(Number(event.currentTarget.value))}
        />
        <NativeSelect
          label="With"
          data={options}
          value={String(right)}
          onChange={(event) => setRight(Number(event.currentTarget.value))}
        />
      </Group>
      <Group justify="space-between">
        <Text size="sm" c="dimmed" role="status">
          {different.length === 0 ? 'No differences.' : `${different.length} of ${facts.length} differ.`}
        </Text>
        <Switch
          label="Differences only"
          checked={isShort}
          onChange={(event) => setShort(event.currentTarget.checked)}
        />
      </Group>
      <FactTable facts={isShort ? different : facts} left={left} right={right} />
    </Stack>
  )
}

function FactTable({ facts, left, right }: { facts: ComparedFact[]; left: number; right: number }) {
  return (
    <table className={classes.comparison} aria-label="Comparison">
      <thead>
        <tr>
          <th scope="col">
            <VisuallyHidden>Fact</VisuallyHidden>
          </th>
          <th scope="col">Version {left}</th>
          <th scope="col">Version {right}</th>
        </tr>
      </thead>
      <tbody>
        {facts.map(({ name, isSame, ...values }) => (
          <tr key={name} data-differs={!isSame || undefined}>
            <th scope="row">
              {!isSame && <IconArrowsDiff size={14} role="img" aria-label="Differs:" className={classes.differs} />}
              <bdi>{name}</bdi>
            </th>
            <td>
              <bdi>{values.left || 'None'}</bdi>
            </td>
            <td>
              <bdi>{values.right || 'None'}</bdi>
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  )
}
