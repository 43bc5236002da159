// Commands to run on a new machine, with this registry's address.

import { List, Stack, Text } from '@mantine/core'
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
      <Step words="On the machine, install modelyard:" command="pip install modelyard" />
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

function Step({ words, command }: { words: string; command: string }) {
  return (
    <List.Item>
      <Stack gap={4}>
        <Text size="sm">{words}</Text>
        <Copyable text={command} what={`“${command}”`} />
      </Stack>
    </List.Item>
  )
}
