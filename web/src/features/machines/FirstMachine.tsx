// Shown while there is no machine: how to pair the first one. The list keeps polling meanwhile.

import { Divider, Paper, Stack, Text, Title } from '@mantine/core'
import { PairForm } from '@/features/machines/PairForm'
import { PairSteps } from '@/features/machines/PairSteps'

export function FirstMachine() {
  return (
    <Paper withBorder p="lg" maw={640}>
      <Stack>
        <Title order={2} size="h3">
          Pair the first machine
        </Title>
        <Text>
          An agent next to each ComfyUI keeps its models in sync with the team: it downloads and verifies registered
          models and removes disabled ones. The machine appears here as soon as it connects.
        </Text>
        <PairSteps />
        <Divider label="Code shown by the machine" labelPosition="left" />
        <PairForm />
      </Stack>
    </Paper>
  )
}
