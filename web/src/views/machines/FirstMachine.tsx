// What is shown while there is no machine: how the first one comes in. The list looks for it all the while.

import { Divider, Paper, Stack, Text, Title } from '@mantine/core'
import { PairForm } from '@/views/machines/PairForm'
import { PairSteps } from '@/views/machines/PairSteps'

export function FirstMachine() {
  return (
    <Paper withBorder p="lg" maw={640}>
      <Stack>
        <Title order={2} size="h3">
          Bring in the first machine
        </Title>
        <Text>
          An agent beside each ComfyUI keeps its models as the team has them here: what is registered comes, verified;
          what is disabled goes. It appears in this place as soon as it is heard of.
        </Text>
        <PairSteps />
        <Divider label="The code that it shows" labelPosition="left" />
        <PairForm />
      </Stack>
    </Paper>
  )
}
