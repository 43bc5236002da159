// Actions on all selected models, with progress. Failures are shown outside the bar, because the bar
// disappears when nothing is selected.

import { Button, type ButtonProps, Group, Progress, Text } from '@mantine/core'
import {
  IconArrowBackUp,
  IconListDetails,
  IconPlayerPause,
  IconPlayerPlay,
  IconSend,
  IconServerCog,
  IconTag,
  IconTrash,
  IconX,
  type TablerIcon,
} from '@tabler/icons-react'
import { useId, useState } from 'react'
import type { Model, NewCollectionModel } from '@/api/types'
import { formatCount } from '@/components/format'
import { BULK_ACTIONS, type BulkAction, type BulkFailure, runBulkAction } from '@/features/models/bulk/actions'
import { TagsDialog } from '@/features/models/bulk/TagsDialog'
import type { Selection } from '@/features/models/list/useSelection'
import classes from '@/features/models/models.module.css'
import { changeTags, type TagChange } from '@/features/models/mutations'

interface BulkBarProps {
  selection: Selection
  isTrash: boolean
  mayChange: (model: Model) => boolean
  onSend: ((models: Model[]) => void) | undefined
  onAddToCollection: ((models: NewCollectionModel[]) => void) | undefined
  onRefused: (refused: BulkFailure) => void
}

export function BulkBar({ selection, isTrash, mayChange, onSend, onAddToCollection, onRefused }: BulkBarProps) {
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
                {onSend && <BulkButton icon={IconSend} word="Send to…" onClick={() => onSend(models)} />}
                {onAddToCollection && (
                  <BulkButton
                    icon={IconListDetails}
                    word="Add to collection…"
                    onClick={() => onAddToCollection(models.map(({ id }) => ({ model_id: id })))}
                  />
                )}
                <ChangeButtons
                  others={models.filter((model) => !mayChange(model)).length}
                  onRun={(act) => void run(act)}
                  onWords={setWords}
                />
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

interface ChangeButtonsProps {
  /** How many of the models the user may not change. */
  others: number
  onRun: (act: BulkAction) => void
  onWords: (field: TagChange['field']) => void
}

/** The actions that change the models; disabled, with the reason, if the user may not change all of them. */
function ChangeButtons({ others, onRun, onWords }: ChangeButtonsProps) {
  const reasonId = useId()
  const refused = others > 0 && { disabled: true, 'aria-describedby': reasonId }
  return (
    <>
      <BulkButton icon={IconPlayerPlay} word="Enable" {...refused} onClick={() => onRun(BULK_ACTIONS.enable)} />
      <BulkButton icon={IconPlayerPause} word="Disable" {...refused} onClick={() => onRun(BULK_ACTIONS.disable)} />
      <BulkButton icon={IconTag} word="Edit tags" {...refused} onClick={() => onWords('tags')} />
      <BulkButton icon={IconServerCog} word="Edit labels" {...refused} onClick={() => onWords('required_labels')} />
      <BulkButton icon={IconTrash} word="Delete" color="red" {...refused} onClick={() => onRun(BULK_ACTIONS.remove)} />
      {others > 0 && (
        <Text id={reasonId} size="sm" c="dimmed">
          Not registered by you: {formatCount(others, 'model')}. Members can change only models that they registered.
        </Text>
      )}
    </>
  )
}

interface BulkButtonProps extends Pick<ButtonProps, 'color' | 'disabled'> {
  icon: TablerIcon
  word: string
  'aria-describedby'?: string
  onClick(): void
}

function BulkButton({ icon: Icon, word, ...props }: BulkButtonProps) {
  return (
    <Button variant={props.color ? 'light' : 'default'} leftSection={<Icon size={16} aria-hidden />} {...props}>
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
