// Actions on all selected models, with progress. Failures are shown outside the bar, because the bar
// disappears when nothing is selected.

import { Button, Group, Progress, Text } from '@mantine/core'
import {
  IconArrowBackUp,
  IconPlayerPause,
  IconPlayerPlay,
  IconServerCog,
  IconTag,
  IconTrash,
  IconX,
  type TablerIcon,
} from '@tabler/icons-react'
import { useState } from 'react'
import { formatCount } from '@/components/format'
import { BULK_ACTIONS, type BulkAction, type BulkFailure, runBulkAction } from '@/features/models/bulk/actions'
import { TagsDialog } from '@/features/models/bulk/TagsDialog'
import classes from '@/features/models/models.module.css'
import { changeTags, type TagChange } from '@/features/models/mutations'
import type { Selection } from '@/features/models/useSelection'

interface BulkBarProps {
  selection: Selection
  isTrash: boolean
  onRefused: (refused: BulkFailure) => void
}

export function BulkBar({ selection, isTrash, onRefused }: BulkBarProps) {
  const [progress, setProgress] = useState<{ act: BulkAction; finished: number; of: number }>()
  const [words, setWords] = useState<TagChange['field']>()
  const { models } = selection
  const run = async (act: BulkAction) => {
    setWords(undefined)
    const chosen = models
    setProgress({ act, finished: 0, of: chosen.length })
    const outcome = await runBulkAction(act, chosen, (finished) => setProgress({ act, finished, of: chosen.length }))
    setProgress(undefined)
    selection.clear()
    if (outcome.refused.length) onRefused({ act, ...outcome })
  }
  return (
    <>
      <section className={classes.bar} aria-label="Selected models">
        {progress ? (
          <BulkProgress {...progress} />
        ) : (
          <Group gap="xs">
            <Text fw={600} mr="xs" role="status">
              {formatCount(models.length, 'model')} selected
            </Text>
            {isTrash ? (
              <BulkButton icon={IconArrowBackUp} word="Restore" onClick={() => void run(BULK_ACTIONS.restore)} />
            ) : (
              <>
                <BulkButton icon={IconPlayerPlay} word="Enable" onClick={() => void run(BULK_ACTIONS.enable)} />
                <BulkButton icon={IconPlayerPause} word="Disable" onClick={() => void run(BULK_ACTIONS.disable)} />
                <BulkButton icon={IconTag} word="Edit tags" onClick={() => setWords('tags')} />
                <BulkButton icon={IconServerCog} word="Edit labels" onClick={() => setWords('required_labels')} />
                <BulkButton icon={IconTrash} word="Delete" color="red" onClick={() => void run(BULK_ACTIONS.remove)} />
              </>
            )}
            <Button
              variant="subtle"
              color="gray"
              leftSection={<IconX size={16} aria-hidden />}
              ml="auto"
              onClick={selection.clear}
            >
              Clear selection
            </Button>
          </Group>
        )}
      </section>
      <TagsDialog
        field={words}
        models={models}
        onClose={() => setWords(undefined)}
        onChange={(change) => void run({ ...BULK_ACTIONS.words, run: (model) => changeTags(model, change) })}
      />
    </>
  )
}

function BulkButton({
  icon: Icon,
  word,
  color,
  onClick,
}: {
  icon: TablerIcon
  word: string
  color?: string
  onClick(): void
}) {
  return (
    <Button
      variant={color ? 'light' : 'default'}
      {...(color && { color })}
      leftSection={<Icon size={16} aria-hidden />}
      onClick={onClick}
    >
      {word}
    </Button>
  )
}

function BulkProgress({ act, finished, of }: { act: BulkAction; finished: number; of: number }) {
  const words = `${act.progressLabel} ${finished} of ${formatCount(of, 'model')}`
  return (
    <>
      <Text size="sm" mb={6} role="status">
        {words}
      </Text>
      <Progress value={(100 * finished) / of} aria-label={act.progressLabel} />
    </>
  )
}
