// Adds models to a collection that exists, or to a new one.

import { Button, Group, Modal, NativeSelect, Stack, Text, TextInput } from '@mantine/core'
import { useMutation } from '@tanstack/react-query'
import { type FormEvent, useState } from 'react'
import { asProblem } from '@/api/problem'
import type { CollectionSummary, NewCollectionModel } from '@/api/types'
import { formatCount } from '@/components/format'
import { useOpenedOnceMounted } from '@/components/lazyOpening'
import { notifyError, notifyWithUndo } from '@/components/notify'
import { LoadError, Loading } from '@/components/placeholders'
import { addModels, createCollection, deleteCollection } from '@/features/collections/mutations'
import { refreshCollections, useCollections } from '@/features/collections/queries'
import { useCollectionRights } from '@/features/collections/useCollectionRights'
import { MAX_NAME_LENGTH } from '@/generated/fieldLimits'

const NEW = ''
const MAX_NAMED = 5

interface AddToCollectionDialogProps {
  models: NewCollectionModel[]
  /** The name that a new collection gets, unless the user changes it. */
  suggestedName?: string
  /** The names in a workflow for which the team has other content than the workflow declares. */
  otherContent?: string[]
  isOpen: boolean
  onClose: () => void
}

export function AddToCollectionDialog({ isOpen, ...form }: AddToCollectionDialogProps) {
  return (
    <Modal
      opened={useOpenedOnceMounted(isOpen)}
      onClose={form.onClose}
      title={`Add ${formatCount(form.models.length, 'model')} to a collection`}
      closeButtonProps={{ 'aria-label': 'Close' }}
    >
      <Content {...form} />
    </Modal>
  )
}

type ContentProps = Omit<AddToCollectionDialogProps, 'isOpen'>

function Content(form: ContentProps) {
  const { mayChangeModels } = useCollectionRights()
  const { data, error, refetch } = useCollections()
  if (!data) {
    return error ? (
      <LoadError error={error} onRetry={() => void refetch()} />
    ) : (
      <Loading label="Loading the collections" />
    )
  }
  return <Form {...form} collections={data.filter(mayChangeModels)} />
}

function Form({
  models,
  suggestedName = '',
  otherContent = [],
  collections,
  onClose,
}: ContentProps & { collections: CollectionSummary[] }) {
  const [id, setId] = useState(NEW)
  const [name, setName] = useState(suggestedName)
  const chosen = collections.find((one) => one.id === id)
  const save = useMutation({
    mutationFn: () => addTo(chosen, name.trim(), models),
    onSuccess: onClose,
    onError: (error) => {
      if (!asProblem(error).fields.name) notifyError(error)
      // The collection that has the name may be new.
      void refreshCollections()
    },
  })
  const taken = findTaken(save.error, collections)
  const onSubmit = (event: FormEvent) => {
    event.preventDefault()
    save.mutate()
  }
  return (
    <form onSubmit={onSubmit}>
      <Stack>
        <NativeSelect
          label="Collection"
          value={chosen ? id : NEW}
          data={[
            { value: NEW, label: 'New collection' },
            ...collections.map((one) => ({ value: one.id, label: one.name })),
          ]}
          onChange={(event) => setId(event.currentTarget.value)}
          data-autofocus
        />
        {chosen ? (
          <Text size="sm" c="dimmed">
            Models that it has already get the version that they have now.
          </Text>
        ) : (
          <TextInput
            label="Name"
            required
            maxLength={MAX_NAME_LENGTH}
            value={name}
            error={save.error ? asProblem(save.error).fields.name : undefined}
            onChange={(event) => {
              setName(event.currentTarget.value)
              save.reset()
            }}
          />
        )}
        {!chosen && taken && (
          <Button variant="default" onClick={() => setId(taken.id)}>
            Choose “{taken.name}”
          </Button>
        )}
        {otherContent.length > 0 && (
          <Text size="sm">
            The team has other content than the workflow declares, and this is added, for{' '}
            <bdi>{describeNames(otherContent)}</bdi>.
          </Text>
        )}
        <Group justify="flex-end">
          <Button variant="default" onClick={onClose}>
            Cancel
          </Button>
          <Button type="submit" loading={save.isPending}>
            {chosen ? 'Add' : 'Create collection'}
          </Button>
        </Group>
      </Stack>
    </form>
  )
}

/** Return the collection that has the name of the one that could not be created, if the user may change it. */
function findTaken(error: Error | null, collections: CollectionSummary[]): CollectionSummary | undefined {
  const problem = error && asProblem(error)
  if (!problem?.is('collection_name_taken')) return undefined
  return collections.find(({ id }) => id === problem.facts.collection_id)
}

/** `a, b, c and 2 more` */
function describeNames(names: string[]): string {
  const shown = names.slice(0, MAX_NAMED).join(', ')
  const more = names.length - MAX_NAMED
  return more > 0 ? `${shown} and ${more.toLocaleString('en')} more` : shown
}

/** Add the models to the collection, or to a new one with the name; both can be undone. */
async function addTo(chosen: CollectionSummary | undefined, name: string, models: NewCollectionModel[]): Promise<void> {
  const count = formatCount(models.length, 'model')
  if (chosen) return addModels(chosen.id, models, `${count} added to “${chosen.name}”.`)
  const id = await createCollection({ name, model_list: models })
  notifyWithUndo(`“${name}” was created with ${count}.`, async () => {
    await deleteCollection(id)
    await refreshCollections()
  })
}
