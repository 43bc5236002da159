// A text to hand over, under a name of its own.

import { Stack, Text } from '@mantine/core'
import { Copyable } from '@/parts/Copyable'

export function Handover({ label, text }: { label: string; text: string }) {
  return (
    <Stack gap={4} role="group" aria-label={label}>
      <Text size="sm" fw={600}>
        {label}
      </Text>
      <Copyable text={text} what={label} />
    </Stack>
  )
}
