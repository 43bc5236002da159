// The state of one model on one machine: state, download progress and the reported reason.

import { Progress, Stack, Text } from '@mantine/core'
import type { AgentModel } from '@/api/types'
import { formatBytes } from '@/components/format'
import { Sentence } from '@/components/Sentence'
import { StateMark } from '@/components/statusMarks'

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
            aria-label={`${model.display_name} on ${model.agent_id}: downloaded part`}
          />
          <Text size="xs" c="dimmed">
            {formatBytes(bytes_done)} of {formatBytes(file_size)}
          </Text>
        </>
      )}
      {reason && (
        <Text size="xs" component="bdi">
          <Sentence text={reason} />
        </Text>
      )}
    </Stack>
  )
}
