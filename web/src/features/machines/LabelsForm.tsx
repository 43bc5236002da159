// Edits the labels that the team sets for a machine. They decide which models the machine should have.

import { Button, Group, Stack } from '@mantine/core'
import { type FormEvent, useState } from 'react'
import { asProblem } from '@/api/problem'
import type { Agent } from '@/api/types'
import { TagsField } from '@/components/TagsField'
import { setLabels } from '@/features/machines/actions'
import { describeIgnored, splitLabels } from '@/features/machines/useMachines'

export function LabelsForm({ agent }: { agent: Agent }) {
  const { own, central } = splitLabels(agent)
  const [labels, setTyped] = useState(central)
  const [refusal, setRefusal] = useState('')
  const [isBusy, setBusy] = useState(false)
  const onSubmit = async (event: FormEvent) => {
    event.preventDefault()
    setBusy(true)
    setRefusal('')
    try {
      await setLabels(agent, labels)
    } catch (error) {
      const problem = asProblem(error)
      setRefusal(Object.values(problem.fields)[0] ?? problem.message)
    }
    setBusy(false)
  }
  return (
    <form onSubmit={(event) => void onSubmit(event)}>
      <Stack gap="xs" align="flex-start">
        <TagsField
          w="100%"
          label="Labels set by the team"
          description={`Labels set on the machine: ${own.join(', ') || 'none'}${describeIgnored(agent, own)}. A model with required labels goes only to machines that have all of them.`}
          value={labels}
          onChange={setTyped}
          error={refusal}
          splitChars={[',', ' ']}
        />
        {labels.join() !== central.join() && (
          <Group gap="xs">
            <Button type="submit" size="xs" loading={isBusy}>
              Save labels
            </Button>
            <Button size="xs" variant="default" onClick={() => setTyped(central)}>
              Cancel
            </Button>
          </Group>
        )}
      </Stack>
    </form>
  )
}
