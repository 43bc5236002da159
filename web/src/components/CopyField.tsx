// A labelled text with a copy button.

import { Stack, Text } from '@mantine/core'
import { Copyable } from '@/components/Copyable'

export function CopyField({ label, text }: { label: string; text: string }) {
  return (
    <Stack gap={4} role="group" aria-label={label}>
      <Text size="sm" fw={600}>
        {label}
      </Text>
      <Copyable text={text} what={label} />
    </Stack>
  )
}
