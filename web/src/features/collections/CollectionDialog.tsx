// Asks for the name and the note of a collection.

import { Button, Group, Modal, Stack, Textarea, TextInput } from '@mantine/core'
import { useMutation } from '@tanstack/react-query'
import { type FormEvent, useState } from 'react'
import { asProblem } from '@/api/problem'
import { notifyError } from '@/components/notify'
import { MAX_DESCRIPTION_LENGTH, MAX_NAME_LENGTH } from '@/generated/fieldLimits'

export interface CollectionFields {
  name: string
  note: string | null
}

interface CollectionDialogProps {
  title: string
  /** The verb on the button, such as "Create" or "Save". */
  verb: string
  start?: CollectionFields
  isOpen: boolean
  onSave: (fields: CollectionFields) => Promise<void>
  onClose: () => void
}

export function CollectionDialog({ title, isOpen, onClose, ...form }: CollectionDialogProps) {
  return (
    <Modal opened={isOpen} onClose={onClose} title={title} closeButtonProps={{ 'aria-label': 'Close' }}>
      <Form {...form} onClose={onClose} />
    </Modal>
  )
}

function Form({ start, verb, onSave, onClose }: Omit<CollectionDialogProps, 'title' | 'isOpen'>) {
  const [name, setName] = useState(start?.name ?? '')
  const [note, setNote] = useState(start?.note ?? '')
  const save = useMutation({
    mutationFn: () => onSave({ name: name.trim(), note: note.trim() || null }),
    onSuccess: onClose,
    onError: (error) => asProblem(error).fields.name || notifyError(error),
  })
  const onSubmit = (event: FormEvent) => {
    event.preventDefault()
    save.mutate()
  }
  return (
    <form onSubmit={onSubmit}>
      <Stack>
        <TextInput
          label="Name"
          required
          maxLength={MAX_NAME_LENGTH}
          value={name}
          error={save.error ? asProblem(save.error).fields.name : undefined}
          onChange={(event) => setName(event.currentTarget.value)}
          data-autofocus
        />
        <Textarea
          label="Note"
          description="What it is for"
          autosize
          minRows={2}
          maxRows={8}
          maxLength={MAX_DESCRIPTION_LENGTH}
          value={note}
          onChange={(event) => setNote(event.currentTarget.value)}
        />
        <Group justify="flex-end">
          <Button variant="default" onClick={onClose}>
            Cancel
          </Button>
          <Button type="submit" loading={save.isPending}>
            {verb}
          </Button>
        </Group>
      </Stack>
    </form>
  )
}
