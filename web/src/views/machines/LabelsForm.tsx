// The labels that the team gives a machine, beside its own: which models it should hold depends on them.

import { Button, Group, Stack } from '@mantine/core'
import { type FormEvent, useState } from 'react'
import { asProblem } from '@/api/problem'
import type { Agent } from '@/api/types'
import { WordList } from '@/parts/WordList'
import { setLabels } from '@/views/machines/actions'
import { labelsOf } from '@/views/machines/fleet'

export function LabelsForm({ agent }: { agent: Agent }) {
  const { own, central } = labelsOf(agent)
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
        <WordList
          w="100%"
          label="Labels given by the team"
          description={`The machine's own: ${own.join(', ') || 'none'}. Models that need labels come only where all of them are.`}
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
