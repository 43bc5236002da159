// Making a key for a program or a machine. It is shown this once, with the command that uses it.

import { Alert, Button, Group, Modal, NativeSelect, Radio, Stack, TextInput } from '@mantine/core'
import { useMutation, useQueryClient } from '@tanstack/react-query'
import { type FormEvent, useState } from 'react'
import { answered, api } from '@/api/client'
import { asProblem } from '@/api/problem'
import { Handover } from '@/parts/Handover'
import { failed } from '@/parts/notify'
import { commandsFor } from '@/views/team/keyWords'
import { KEYS } from '@/views/team/useKeys'

type Kind = 'integration' | 'agent'
type Access = 'read' | 'write'

interface Asked {
  kind: Kind
  display_name: string
  access?: Access
  expires_in_days?: number
}

const LIVES = [
  { value: '', label: 'Never' },
  { value: '7', label: 'In 7 days' },
  { value: '30', label: 'In 30 days' },
  { value: '90', label: 'In 90 days' },
  { value: '365', label: 'In a year' },
]

export function NewKey({ isOpen, onClose }: { isOpen: boolean; onClose: () => void }) {
  const cache = useQueryClient()
  const make = useMutation({
    mutationFn: (body: Asked) => answered(api.POST('/api/v1/credentials', { body })),
    onSuccess: () => cache.invalidateQueries({ queryKey: KEYS }),
    onError: (error) => asProblem(error).fields.display_name || failed(error),
  })
  const close = () => {
    onClose()
    make.reset()
  }
  return (
    <Modal
      opened={isOpen}
      onClose={close}
      size="lg"
      title={make.data ? 'The new key' : 'New key'}
      // A key that is gone by a slip of the hand could not be shown again.
      closeOnClickOutside={!make.data}
      closeOnEscape={!make.data}
      closeButtonProps={{ 'aria-label': 'Close' }}
    >
      {make.data && make.variables ? (
        <Made rawKey={make.data.raw_key} asked={make.variables} onClose={close} />
      ) : (
        <Form
          refusal={make.error ? asProblem(make.error).fields.display_name : undefined}
          isBusy={make.isPending}
          onAsk={make.mutate}
        />
      )}
    </Modal>
  )
}

interface FormProps {
  refusal: string | undefined
  isBusy: boolean
  onAsk: (asked: Asked) => void
}

function Form({ refusal, isBusy, onAsk }: FormProps) {
  const [kind, setKind] = useState<Kind>('integration')
  const [access, setAccess] = useState<Access>('write')
  const onSubmit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault()
    const typed = new FormData(event.currentTarget)
    const days = Number(typed.get('life'))
    onAsk({
      kind,
      display_name: String(typed.get('name')).trim(),
      ...(kind === 'integration' && { access }),
      ...(days > 0 && { expires_in_days: days }),
    })
  }
  return (
    <form onSubmit={onSubmit}>
      <Stack>
        <Radio.Group label="For" value={kind} onChange={(value) => setKind(value as Kind)}>
          <Stack gap="xs" mt="xs">
            <Radio value="integration" label="A program" description="Scripts, training, CI: they push and pull." />
            <Radio
              value="agent"
              label="Machines"
              description="Agents that keep a ComfyUI's models as the team wants."
            />
          </Stack>
        </Radio.Group>
        <TextInput
          name="name"
          label="Name"
          placeholder="What it is for, such as “nightly training”"
          required
          maxLength={100}
          error={refusal}
          data-autofocus
        />
        {kind === 'integration' && (
          <Radio.Group label="Access" value={access} onChange={(value) => setAccess(value as Access)}>
            <Group mt="xs">
              <Radio value="write" label="Read and write" />
              <Radio value="read" label="Read only" />
            </Group>
          </Radio.Group>
        )}
        <NativeSelect name="life" label="Ends" data={LIVES} maw={200} />
        <Group justify="flex-end">
          <Button type="submit" loading={isBusy}>
            Make the key
          </Button>
        </Group>
      </Stack>
    </form>
  )
}

function Made({ rawKey, asked, onClose }: { rawKey: string; asked: Asked; onClose: () => void }) {
  return (
    <Stack>
      <Alert title="Copy it now">The registry keeps no copy: when this is closed, nobody can read the key again.</Alert>
      <Handover label="Key" text={rawKey} />
      {commandsFor(asked.kind, asked.access ?? 'read', rawKey).map(({ label, text }) => (
        <Handover key={label} label={label} text={text} />
      ))}
      <Group justify="flex-end">
        <Button onClick={onClose}>I have it</Button>
      </Group>
    </Stack>
  )
}
