// Adds and removes tags or required labels of the selected models.

import { Button, Group, Modal, Stack, Text } from '@mantine/core'
import { useState } from 'react'
import type { Model } from '@/api/types'
import { formatCount } from '@/components/format'
import { TagsField } from '@/components/TagsField'
import { useLastDefined } from '@/components/useLastDefined'
import type { TagChange } from '@/features/models/mutations'

const MAX_NAMED = 12
const TITLES = { tags: 'Tags', required_labels: 'Required labels' }

interface TagsDialogProps {
  /** The field to change; undefined while the dialog is closed. */
  field: TagChange['field'] | undefined
  models: Model[]
  onChange: (change: TagChange) => void
  onClose: () => void
}

export function TagsDialog({ field, models, ...acts }: TagsDialogProps) {
  const shown = useLastDefined(field) ?? 'tags'
  return (
    <Modal
      opened={field !== undefined}
      onClose={acts.onClose}
      title={`${TITLES[shown]} of ${formatCount(models.length, 'model')}`}
    >
      <TagsForm field={shown} models={models} {...acts} />
    </Modal>
  )
}

function TagsForm({ field, models, onChange, onClose }: TagsDialogProps & { field: TagChange['field'] }) {
  const [add, setAdd] = useState<string[]>([])
  const [drop, setDrop] = useState<string[]>([])
  const usedValues = [...new Set(models.flatMap((model) => model[field]))].sort()
  return (
    <Stack>
      {field === 'required_labels' && (
        <Text size="sm" c="dimmed">
          Only machines that have all of a model's labels get it; other machines remove it.
        </Text>
      )}
      <TagsField label="Add" value={add} onChange={setAdd} suggestions={usedValues} />
      <TagsField
        label="Remove"
        description={usedValues.length ? `In use: ${usedValues.slice(0, MAX_NAMED).join(', ')}` : 'None are set.'}
        value={drop}
        onChange={setDrop}
        suggestions={usedValues}
      />
      <Group justify="flex-end">
        <Button variant="default" onClick={onClose}>
          Cancel
        </Button>
        <Button onClick={() => (add.length || drop.length ? onChange({ field, add, remove: drop }) : onClose())}>
          Change {formatCount(models.length, 'model')}
        </Button>
      </Group>
    </Stack>
  )
}
