// A new secret for a key, and how long the old one works beside it.

import { Button, Code, Group, NativeSelect, Stack, Text } from '@mantine/core'
import { useMutation, useQueryClient } from '@tanstack/react-query'
import { useState } from 'react'
import { api, unwrap } from '@/api/client'
import type { Credential } from '@/api/types'
import { notifyError } from '@/components/notify'
import { SecretDialog } from '@/components/SecretDialog'
import { NewSecret } from '@/features/team/NewSecret'
import { KEYS_QUERY_KEY } from '@/features/team/useKeys'

const GRACE_OPTIONS = [
  { value: '0', label: 'Stop immediately' },
  { value: '1', label: '1 hour' },
  { value: '24', label: '24 hours' },
  { value: '72', label: '3 days' },
  { value: '168', label: '7 days' },
]

export function RotateKey({ of: key, onClose }: { of: Credential | undefined; onClose: () => void }) {
  const cache = useQueryClient()
  const rotate = useMutation({
    mutationFn: (asked: { id: string; grace_hours: number }) =>
      unwrap(
        api.POST('/api/v1/credentials/{credential_id}/rotate', {
          params: { path: { credential_id: asked.id } },
          body: { grace_hours: asked.grace_hours },
        }),
      ),
    onSettled: () => cache.invalidateQueries({ queryKey: KEYS_QUERY_KEY }),
    onError: notifyError,
  })
  const close = () => {
    onClose()
    rotate.reset()
  }
  return (
    <SecretDialog
      title={rotate.data ? 'The new secret' : 'Rotate this key?'}
      isOpen={key !== undefined}
      isShown={rotate.data !== undefined}
      onClose={close}
    >
      {key && rotate.data && (
        <NewSecret rawKey={rotate.data.raw_key} kind={key.kind} access={key.access} onClose={close} />
      )}
      {key && !rotate.data && (
        <Question
          of={key}
          isBusy={rotate.isPending}
          onAsk={(grace_hours) => rotate.mutate({ id: key.id, grace_hours })}
          onClose={close}
        />
      )}
    </SecretDialog>
  )
}

interface QuestionProps {
  of: Credential
  isBusy: boolean
  onAsk: (graceHours: number) => void
  onClose: () => void
}

function Question({ of: key, isBusy, onAsk, onClose }: QuestionProps) {
  const [grace, setGrace] = useState('24')
  return (
    <Stack>
      <Text component="div">
        “<bdi>{key.display_name}</bdi>” (<Code>{key.key_prefix}…</Code>) gets a new secret, and you become responsible
        for the key.
      </Text>
      <NativeSelect
        label="How long the old secret works"
        description="Choose enough time to update everything that uses the key. Choose “Stop immediately” if the key leaked."
        data={GRACE_OPTIONS}
        value={grace}
        onChange={(event) => setGrace(event.currentTarget.value)}
      />
      <Group justify="flex-end">
        <Button variant="default" onClick={onClose}>
          Cancel
        </Button>
        <Button loading={isBusy} onClick={() => onAsk(Number(grace))}>
          Rotate
        </Button>
      </Group>
    </Stack>
  )
}
