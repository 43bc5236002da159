// The trigger words of a model: each copies itself; a guess is marked as one; people who may can enter others.

import { ActionIcon, Button } from '@mantine/core'
import { IconPencil } from '@tabler/icons-react'
import { useState } from 'react'
import { usePermissions } from '@/api/permissions'
import type { Model } from '@/api/types'
import { CopyChip } from '@/components/CopyChip'
import { TagsField } from '@/components/TagsField'
import { isGuess } from '@/components/triggerWord'
import { FactDialog } from '@/features/models/facts/FactDialog'
import classes from '@/features/models/facts/facts.module.css'
import { saveOverride } from '@/features/models/facts/overrides'
import { MAX_TRIGGER_LENGTH, MAX_TRIGGER_WORDS } from '@/generated/fieldLimits'

export function TriggerWords({ model }: { model: Model }) {
  const { mayChange } = usePermissions()
  const [isOpen, setOpen] = useState(false)
  const words = model.trigger_words
  const guesses = words.filter(isGuess)
  const known = words.filter((word) => !isGuess(word))
  return (
    <>
      {known.map(({ text }) => (
        <CopyChip key={text} text={text} />
      ))}
      {guesses.length > 0 && (
        <span className={classes.guesses}>
          <span className={classes.dimmed}>probably</span>
          {guesses.map(({ text }) => (
            <CopyChip key={text} text={text} />
          ))}
        </span>
      )}
      {words.length > 1 && (
        <CopyChip text={words.map(({ text }) => text).join(', ')} isPlain>
          Copy all
        </CopyChip>
      )}
      {mayChange(model) && <EditButton hasWords={words.length > 0} onClick={() => setOpen(true)} />}
      <Dialog model={model} isOpen={isOpen} onClose={() => setOpen(false)} />
    </>
  )
}

function EditButton({ hasWords, onClick }: { hasWords: boolean; onClick: () => void }) {
  if (!hasWords) {
    return (
      <Button variant="subtle" size="compact-sm" onClick={onClick}>
        Add trigger words
      </Button>
    )
  }
  return (
    <ActionIcon
      variant="subtle"
      color="gray"
      size="sm"
      aria-label="Edit trigger words"
      title="Edit trigger words"
      onClick={onClick}
    >
      <IconPencil size={14} aria-hidden />
    </ActionIcon>
  )
}

function Dialog({ model, isOpen, onClose }: { model: Model; isOpen: boolean; onClose: () => void }) {
  const save = (trigger_words: string[] | null) =>
    saveOverride(model, { trigger_words }, 'The trigger words are changed.')
  return (
    <FactDialog
      title="Trigger words"
      isOpen={isOpen}
      onClose={onClose}
      start={model.trigger_words.map(({ text }) => text)}
      onSave={save}
      onReset={model.has_own_trigger_words ? () => save(null) : undefined}
    >
      {(field) => (
        <TagsField
          label="Trigger words"
          description="For all versions of this model. Press Enter after each."
          {...field}
          maxTags={MAX_TRIGGER_WORDS}
          maxLength={MAX_TRIGGER_LENGTH}
          splitChars={[',']}
        />
      )}
    </FactDialog>
  )
}
