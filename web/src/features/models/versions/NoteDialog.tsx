// Edits the note of a version.

import { Button, Group, Modal, Stack, Textarea } from '@mantine/core'
import { type FormEvent, useState } from 'react'
import type { Model, ModelVersion } from '@/api/types'
import { useLastDefined } from '@/components/useLastDefined'
import { runVersionAction, updateNoteWithUndo } from '@/features/models/versions/actions'
import { MAX_DESCRIPTION_LENGTH } from '@/generated/fieldLimits'

interface NoteDialogProps {
  model: Model
  /** The version to edit; undefined while the dialog is closed. */
  version: ModelVersion | undefined
  onClose: () => void
}

export function NoteDialog({ model, version, onClose }: NoteDialogProps) {
  const shown = useLastDefined(version)
  return (
    <Modal opened={version !== undefined} onClose={onClose} title={`Note of version ${shown?.version}`}>
      {shown && <NoteForm key={shown.version} model={model} version={shown} onClose={onClose} />}
    </Modal>
  )
}

function NoteForm({ model, version, onClose }: NoteDialogProps & { version: ModelVersion }) {
  const [note, setNote] = useState(version.note ?? '')
  const [isBusy, setBusy] = useState(false)
  const onSubmit = async (event: FormEvent) => {
    event.preventDefault()
    setBusy(true)
    const isDone = await runVersionAction(() => updateNoteWithUndo(model, version, note.trim()))
    setBusy(false)
    if (isDone) onClose()
  }
  return (
    <form onSubmit={(event) => void onSubmit(event)}>
      <Stack>
        <Textarea
          label="Note"
          description="What is new in this version"
          autosize
          minRows={3}
          maxRows={12}
          maxLength={MAX_DESCRIPTION_LENGTH}
          data-autofocus
          value={note}
          onChange={(event) => setNote(event.currentTarget.value)}
        />
        <Group justify="flex-end">
          <Button variant="default" onClick={onClose}>
            Cancel
          </Button>
          <Button type="submit" loading={isBusy}>
            Save
          </Button>
        </Group>
      </Stack>
    </form>
  )
}
