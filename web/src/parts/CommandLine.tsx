// A command to paste into a terminal, with a button that copies it.

import { Code, Group } from '@mantine/core'
import { CopyButton } from '@/parts/copying'

export function CommandLine({ text, what = 'the command' }: { text: string; what?: string }) {
  return (
    <Group gap="xs" wrap="nowrap" align="flex-start">
      <Code block flex={1} miw={0} ff="monospace" style={{ whiteSpace: 'pre-wrap', overflowWrap: 'anywhere' }}>
        {text}
      </Code>
      <CopyButton text={text} what={what} />
    </Group>
  )
}
