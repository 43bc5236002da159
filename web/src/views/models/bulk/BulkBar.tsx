// What can be done with all marked models at once, and how far it is. What was refused of it is told outside: the bar
// goes when nothing is marked any more.

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
import { count } from '@/parts/words'
import { ACTS, type Act, perform, type Refused } from '@/views/models/bulk/acts'
import { WordsDialog } from '@/views/models/bulk/WordsDialog'
import { changeWords, type WordChange } from '@/views/models/changing'
import classes from '@/views/models/models.module.css'
import type { Selection } from '@/views/models/selection'

interface Bulk {
  selection: Selection
  isTrash: boolean
  onRefused: (refused: Refused) => void
}

export function BulkBar({ selection, isTrash, onRefused }: Bulk) {
  const [progress, setProgress] = useState<{ act: Act; finished: number; of: number }>()
  const [words, setWords] = useState<WordChange['field']>()
  const { models } = selection
  const run = async (act: Act) => {
    setWords(undefined)
    const chosen = models
    setProgress({ act, finished: 0, of: chosen.length })
    const outcome = await perform(act, chosen, (finished) => setProgress({ act, finished, of: chosen.length }))
    setProgress(undefined)
    selection.clear()
    if (outcome.refused.length) onRefused({ act, ...outcome })
  }
  return (
    <>
      <section className={classes.bar} aria-label="Selected models">
        {progress ? (
          <Doing {...progress} />
        ) : (
          <Group gap="xs">
            <Text fw={600} mr="xs" role="status">
              {count(models.length, 'model')} selected
            </Text>
            {isTrash ? (
              <Do icon={IconArrowBackUp} word="Restore" onClick={() => void run(ACTS.restore)} />
            ) : (
              <>
                <Do icon={IconPlayerPlay} word="Enable" onClick={() => void run(ACTS.enable)} />
                <Do icon={IconPlayerPause} word="Disable" onClick={() => void run(ACTS.disable)} />
                <Do icon={IconTag} word="Tags" onClick={() => setWords('tags')} />
                <Do icon={IconServerCog} word="Labels" onClick={() => setWords('required_labels')} />
                <Do icon={IconTrash} word="Delete" color="red" onClick={() => void run(ACTS.remove)} />
              </>
            )}
            <Button
              variant="subtle"
              color="gray"
              leftSection={<IconX size={16} aria-hidden />}
              ml="auto"
              onClick={selection.clear}
            >
              Select none
            </Button>
          </Group>
        )}
      </section>
      <WordsDialog
        field={words}
        models={models}
        onClose={() => setWords(undefined)}
        onChange={(change) => void run({ ...ACTS.words, deed: (model) => changeWords(model, change) })}
      />
    </>
  )
}

function Do({ icon: Icon, word, color, onClick }: { icon: TablerIcon; word: string; color?: string; onClick(): void }) {
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

function Doing({ act, finished, of }: { act: Act; finished: number; of: number }) {
  const words = `${act.doing} ${finished} of ${count(of, 'model')}`
  return (
    <>
      <Text size="sm" mb={6} role="status">
        {words}
      </Text>
      <Progress value={(100 * finished) / of} aria-label={act.doing} />
    </>
  )
}
