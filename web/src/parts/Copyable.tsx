// A text to paste elsewhere, whole, with a button that copies it.

import { Code, Group } from '@mantine/core'
import { CopyButton } from '@/parts/copying'

export function Copyable({ text, what }: { text: string; what: string }) {
  return (
    <Group gap="xs" wrap="nowrap" align="flex-start">
      <Code block flex={1} miw={0} style={{ whiteSpace: 'pre-wrap', overflowWrap: 'anywhere' }}>
        {text}
      </Code>
      <CopyButton text={text} what={what} />
    </Group>
  )
}
