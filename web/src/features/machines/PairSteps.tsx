// Commands to run on a new machine, with this registry's address: those of docs/fleet.md.

import { Code, List, Stack, Text } from '@mantine/core'
import type { ReactNode } from 'react'
import { Copyable } from '@/components/Copyable'

export function PairSteps() {
  return (
    <List
      type="ordered"
      listStyleType="none"
      spacing="sm"
      center={false}
      styles={{ itemWrapper: { display: 'block' } }}
    >
      <Step
        words={
          <>
            Build Modelyard's package with <Code>make dist</Code> in a checkout, copy the folder <Code>dist</Code> to
            the machine, and install it there, with uv or with <Code>pipx install</Code>:
          </>
        }
        command="uv tool install dist/modelyard-*.whl"
      />
      <Step
        words="Request a key. The command shows a code and a link:"
        command={`modelyard agent pair --url ${window.location.origin}`}
      />
      <Step
        words="After the code is confirmed, start the agent with the ComfyUI folder:"
        command="modelyard agent run --comfyui ~/ComfyUI"
      />
    </List>
  )
}

function Step({ words, command }: { words: ReactNode; command: string }) {
  return (
    <List.Item>
      <Stack gap={4}>
        <Text size="sm">{words}</Text>
        <Copyable text={command} what={`“${command}”`} />
      </Stack>
    </List.Item>
  )
}
