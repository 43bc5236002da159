// How far one model is on one machine: in a word, in bytes while it comes, and why, where the machine says so.

import { Progress, Stack, Text } from '@mantine/core'
import type { AgentModel } from '@/api/types'
import { StateMark } from '@/parts/marks'
import { bytes } from '@/parts/words'

export function ModelOnMachine({ model }: { model: AgentModel }) {
  const { state, reason, bytes_done, file_size } = model
  return (
    <Stack gap={2}>
      <StateMark model={model} />
      {state !== 'ready' && bytes_done > 0 && (
        <>
          <Progress
            value={(100 * bytes_done) / Math.max(1, file_size)}
            size="sm"
            aria-label={`${model.display_name} is on ${model.agent_id} so far`}
          />
          <Text size="xs" c="dimmed">
            {bytes(bytes_done)} of {bytes(file_size)}
          </Text>
        </>
      )}
      {reason && (
        <Text size="xs" component="bdi">
          {reason}
        </Text>
      )}
    </Stack>
  )
}
