// A text to hand over or to paste elsewhere, whole and ready to copy.

import { Code, Group, Stack, Text } from '@mantine/core'
import { CopyButton } from '@/parts/copying'

export function Handover({ label, text }: { label: string; text: string }) {
  return (
    <Stack gap={4} role="group" aria-label={label}>
      <Group justify="space-between" wrap="nowrap">
        <Text size="sm" fw={600}>
          {label}
        </Text>
        <CopyButton text={text} what={label} />
      </Group>
      <Code block style={{ whiteSpace: 'pre-wrap', overflowWrap: 'anywhere' }}>
        {text}
      </Code>
    </Stack>
  )
}
