// Asks for the version of a collection to roll out, and for the machines that get it first.

import { Autocomplete, Button, Group, Modal, NumberInput, Radio, Stack } from '@mantine/core'
import { useMutation } from '@tanstack/react-query'
import { type FormEvent, useState } from 'react'
import { asProblem } from '@/api/problem'
import type { Collection } from '@/api/types'
import { notify, notifyError } from '@/components/notify'
import { startRollout } from '@/features/collections/rollouts/requests'
import { useMachines } from '@/features/machines/useMachines'
import { MAX_LABEL_LENGTH } from '@/generated/fieldLimits'

interface RolloutDialogProps {
  collection: Collection
  isOpen: boolean
  onClose: () => void
}

export function RolloutDialog({ collection, isOpen, onClose }: RolloutDialogProps) {
  return (
    <Modal opened={isOpen} onClose={onClose} title="Roll out a version" closeButtonProps={{ 'aria-label': 'Close' }}>
      <Form collection={collection} onClose={onClose} />
    </Modal>
  )
}

function Form({ collection, onClose }: Omit<RolloutDialogProps, 'isOpen'>) {
  const { agents = [] } = useMachines()
  const [version, setVersion] = useState<number | string>(collection.version)
  const [label, setLabel] = useState('')
  const [mode, setMode] = useState('approval')
  const start = useMutation({
    mutationFn: () =>
      startRollout(collection, {
        version: Number(version),
        canary_label: label.trim() || null,
        is_automatic: mode === 'automatic',
        min_ready_seconds: 0,
      }),
    onSuccess: () => {
      notify(`Version ${version} of “${collection.name}” is being rolled out.`)
      onClose()
    },
    onError: (error) => Object.keys(asProblem(error).fields).length > 0 || notifyError(error),
  })
  const fields = start.error ? asProblem(start.error).fields : {}
  const onSubmit = (event: FormEvent) => {
    event.preventDefault()
    start.mutate()
  }
  return (
    <form onSubmit={onSubmit}>
      <Stack>
        <NumberInput
          label="Version"
          description={`Subscribed machines have version ${collection.rolled_out_version} now.`}
          required
          min={1}
          max={collection.version}
          allowDecimal={false}
          value={version}
          error={fields.version}
          onChange={setVersion}
        />
        <Autocomplete
          label="Canary label"
          description="Subscribed machines with this label get it first. Leave it empty to send it to all at once."
          maxLength={MAX_LABEL_LENGTH}
          data={[...new Set(agents.flatMap(({ agent_labels }) => agent_labels))].sort()}
          value={label}
          error={fields.canary_label}
          onChange={setLabel}
          data-autofocus
        />
        <Radio.Group label="When the canaries are ready" value={mode} onChange={setMode}>
          <Stack gap="xs" mt="xs">
            <Radio value="approval" label="Wait for an approval" disabled={label.trim() === ''} />
            <Radio value="automatic" label="Go on to all machines" disabled={label.trim() === ''} />
          </Stack>
        </Radio.Group>
        <Group justify="flex-end">
          <Button variant="default" onClick={onClose}>
            Cancel
          </Button>
          <Button type="submit" loading={start.isPending}>
            Roll out
          </Button>
        </Group>
      </Stack>
    </form>
  )
}
