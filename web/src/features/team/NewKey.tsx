// Creates a key for a program or machine. The key is shown only once, with commands that use it.

import { Button, Group, NativeSelect, Radio, Stack, TextInput } from '@mantine/core'
import { useMutation, useQueryClient } from '@tanstack/react-query'
import { type FormEvent, useState } from 'react'
import { api, unwrap } from '@/api/client'
import { asProblem } from '@/api/problem'
import type { KeyRequest } from '@/api/types'
import { notifyError } from '@/components/notify'
import { SecretDialog } from '@/components/SecretDialog'
import { NewSecret } from '@/features/team/NewSecret'
import { KEYS_QUERY_KEY } from '@/features/team/useKeys'
import { MAX_NAME_LENGTH } from '@/generated/fieldLimits'

type Kind = KeyRequest['kind']
type Access = NonNullable<KeyRequest['access']>

const EXPIRY_OPTIONS = [
  { value: '', label: 'Never' },
  { value: '7', label: 'In 7 days' },
  { value: '30', label: 'In 30 days' },
  { value: '90', label: 'In 90 days' },
  { value: '365', label: 'In a year' },
]

export function NewKey({ isOpen, onClose }: { isOpen: boolean; onClose: () => void }) {
  const cache = useQueryClient()
  const make = useMutation({
    mutationFn: (body: KeyRequest) => unwrap(api.POST('/api/v1/credentials', { body })),
    onSuccess: () => cache.invalidateQueries({ queryKey: KEYS_QUERY_KEY }),
    onError: (error) => asProblem(error).fields.display_name || notifyError(error),
  })
  const close = () => {
    onClose()
    make.reset()
  }
  return (
    <SecretDialog
      title={make.data ? 'The new key' : 'New key'}
      isOpen={isOpen}
      isShown={make.data !== undefined}
      onClose={close}
    >
      {make.data && make.variables ? (
        <NewSecret
          rawKey={make.data.raw_key}
          kind={make.variables.kind}
          access={make.variables.access ?? 'read'}
          onClose={close}
        />
      ) : (
        <Form
          refusal={make.error ? asProblem(make.error).fields.display_name : undefined}
          isBusy={make.isPending}
          onAsk={make.mutate}
        />
      )}
    </SecretDialog>
  )
}

interface FormProps {
  refusal: string | undefined
  isBusy: boolean
  onAsk: (asked: KeyRequest) => void
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
            <Radio
              value="integration"
              label="A program"
              description="Scripts, training and CI that push and pull models."
            />
            <Radio
              value="agent"
              label="Machines"
              description="Agents that keep the models of a ComfyUI in sync with the team."
            />
          </Stack>
        </Radio.Group>
        <TextInput
          name="name"
          label="Name"
          placeholder="What it is for, such as “nightly training”"
          required
          maxLength={MAX_NAME_LENGTH}
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
        <NativeSelect name="life" label="Expires" data={EXPIRY_OPTIONS} maw={200} />
        <Group justify="flex-end">
          <Button type="submit" loading={isBusy}>
            Create key
          </Button>
        </Group>
      </Stack>
    </form>
  )
}
