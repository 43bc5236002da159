// What to type on a machine so that it takes part; ready to paste, with this registry's own address.

import { List, Stack, Text } from '@mantine/core'
import { Copyable } from '@/parts/Copyable'

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
        words="Let it ask for a key. It shows a code and an address:"
        command={`modelyard agent pair --url ${window.location.origin}`}
      />
      <Step
        words="When the code is confirmed, start the agent with the folder of ComfyUI:"
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
