// A new secret, shown only once, with commands that use it.

import { Alert, Button, Group, Stack } from '@mantine/core'
import type { Credential } from '@/api/types'
import { CopyField } from '@/components/CopyField'
import { commandsFor } from '@/features/team/keyLabels'

interface Props {
  rawKey: string
  kind: Credential['kind']
  access: Credential['access']
  onClose: () => void
}

export function NewSecret({ rawKey, kind, access, onClose }: Props) {
  return (
    <Stack>
      <Alert title="Copy the key now">
        The registry keeps no copy. After you close this dialog, the key cannot be shown again.
      </Alert>
      <CopyField label="Key" text={rawKey} />
      {commandsFor(kind, access, rawKey).map(({ label, text }) => (
        <CopyField key={label} label={label} text={text} />
      ))}
      <Group justify="flex-end">
        <Button onClick={onClose}>Done</Button>
      </Group>
    </Stack>
  )
}
