// Which tags or labels to add to the marked models, and which to take from them.

import { Button, Group, Modal, Stack, Text } from '@mantine/core'
import { useState } from 'react'
import type { Model } from '@/api/types'
import { WordList } from '@/parts/WordList'
import { count } from '@/parts/words'
import type { WordChange } from '@/views/models/changing'

const MOST_NAMED = 12
const TITLES = { tags: 'Tags', required_labels: 'Required labels' }

interface Dialog {
  /** What is changed; nothing while the dialog is closed. */
  field: WordChange['field'] | undefined
  models: Model[]
  onChange: (change: WordChange) => void
  onClose: () => void
}

export function WordsDialog({ field, models, ...acts }: Dialog) {
  // What is closing still shows what it showed.
  const [shown, setShown] = useState(field ?? 'tags')
  if (field && field !== shown) setShown(field)
  return (
    <Modal
      opened={field !== undefined}
      onClose={acts.onClose}
      title={`${TITLES[shown]} of ${count(models.length, 'model')}`}
    >
      <Words field={shown} models={models} {...acts} />
    </Modal>
  )
}

function Words({ field, models, onChange, onClose }: Dialog & { field: WordChange['field'] }) {
  const [add, setAdd] = useState<string[]>([])
  const [drop, setDrop] = useState<string[]>([])
  const held = [...new Set(models.flatMap((model) => model[field]))].sort()
  return (
    <Stack>
      {field === 'required_labels' && (
        <Text size="sm" c="dimmed">
          Only machines that have all of a model's labels get it; it leaves the others.
        </Text>
      )}
      <WordList label="Add" value={add} onChange={setAdd} known={held} />
      <WordList
        label="Take away"
        description={held.length ? `Some have: ${held.slice(0, MOST_NAMED).join(', ')}` : 'None has any.'}
        value={drop}
        onChange={setDrop}
        known={held}
      />
      <Group justify="flex-end">
        <Button variant="default" onClick={onClose}>
          Cancel
        </Button>
        <Button onClick={() => (add.length || drop.length ? onChange({ field, add, drop }) : onClose())}>
          Change {count(models.length, 'model')}
        </Button>
      </Group>
    </Stack>
  )
}
