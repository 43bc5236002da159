// A code block with a copy button.

import { Code, Group } from '@mantine/core'
import { CopyButton } from '@/components/CopyButton'

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
