// Edits a model. Only edited fields are sent, and only if the record has not changed meanwhile (If-Match).

import { Alert, Autocomplete, Button, Group, List, Stack, Text, Textarea, TextInput } from '@mantine/core'
import { useState } from 'react'
import { asProblem, type Problem } from '@/api/problem'
import type { Model } from '@/api/types'
import { Confirm } from '@/components/Confirm'
import { notifyError, notifyWithUndo } from '@/components/notify'
import { TagsField } from '@/components/TagsField'
import {
  buildUpdate,
  type Fields,
  getChangedFields,
  getFields,
  getFileText,
  LABELS,
} from '@/features/models/details/fields'
import classes from '@/features/models/models.module.css'
import { updateModel } from '@/features/models/mutations'
import { type ReadModel, refreshModel, refreshShown } from '@/features/models/queries'
import { isKnownType, suggestType } from '@/features/upload/engine/suggestType'
import {
  MAX_AUTHOR_LENGTH,
  MAX_DESCRIPTION_LENGTH,
  MAX_LICENSE_LENGTH,
  MAX_LONG_NAME_LENGTH,
  MAX_MODEL_TYPE_LENGTH,
  MAX_SOURCE_URL_LENGTH,
} from '@/generated/fieldLimits'
import { MODEL_TYPES } from '@/generated/modelTypes'

interface FieldsProps {
  model: Model
  fields: Fields
  errorOf: (name: keyof Fields) => string | undefined
  set: (change: Partial<Fields>) => void
}

export function EditForm({ start, onClose }: { start: ReadModel; onClose: () => void }) {
  // A snapshot: if the record changes while the form is open, saving has to report it.
  const [base, setBase] = useState(start)
  const [edits, setEdits] = useState<Partial<Fields>>({})
  const [changedFields, setChangedFields] = useState<(keyof Fields)[]>([])
  const [problem, setProblem] = useState<Problem>()
  const [isBusy, setBusy] = useState(false)
  const [isNewTypeShown, setNewTypeShown] = useState(false)
  const before = getFields(base.model)
  const fields = { ...before, ...edits }
  const set = (some: Partial<Fields>) => setEdits({ ...edits, ...some })

  const save = async (from: ReadModel): Promise<void> => {
    const was = getFields(from.model)
    const names = getChangedFields(was, { ...was, ...edits })
    if (names.length) await updateModel(from.model.id, buildUpdate({ ...was, ...edits }, names), from.etag)
    await refreshShown(from.model.id)
    onClose()
    if (names.length) {
      notifyWithUndo('Saved.', async () => {
        await updateModel(from.model.id, buildUpdate(was, names))
        await refreshShown(from.model.id)
      })
    }
  }
  const handleStaleRecord = async (): Promise<void> => {
    const now = await refreshModel(base.model.id)
    const changed = getChangedFields(before, getFields(now.model))
    setBase(now)
    // The registry itself changes a record after verification; that needs no question.
    if (changed.length === 0) await save(now)
    else setChangedFields(changed)
  }
  const onSubmit = async () => {
    setBusy(true)
    setProblem(undefined)
    setChangedFields([])
    try {
      await save(base).catch((error) => {
        if (asProblem(error).status !== 412) throw error
        return handleStaleRecord()
      })
    } catch (error) {
      const refused = asProblem(error)
      setProblem(refused)
      if (!refused.is('model_path_taken') && Object.keys(refused.fields).length === 0) notifyError(error)
    } finally {
      setBusy(false)
    }
  }
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault()
        if (isNewType(fields.model_type, before.model_type)) setNewTypeShown(true)
        else void onSubmit()
      }}
    >
      <Confirm
        title="Use a new type?"
        verb="Use new type"
        isOpen={isNewTypeShown}
        onConfirm={() => {
          setNewTypeShown(false)
          void onSubmit()
        }}
        onClose={() => setNewTypeShown(false)}
      >
        No folder <bdi>“{fields.model_type}”</bdi> is known. Machines will create it, and only a node that reads it will
        find the model.
      </Confirm>
      <Stack>
        {changedFields.length > 0 && <ConflictNotice names={changedFields} now={before} edits={edits} />}
        <RecordFields model={base.model} fields={fields} set={set} errorOf={(name) => getFieldError(problem, name)} />
        <FreePath problem={problem} onUse={(model_path) => set({ model_path })} />
        <Group justify="flex-end" className={classes.foot ?? ''}>
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

/** Return whether a changed type is not known; the registry itself refuses a near miss of a known one. */
function isNewType(type: string, before: string): boolean {
  return type !== before && !isKnownType(type) && suggestType(type) === undefined
}

function getFieldError(problem: Problem | undefined, name: keyof Fields): string | undefined {
  if (problem?.is('model_path_taken') && name === 'model_path') return problem.message
  // Errors of list items name the index: `tags.3`.
  const field = Object.keys(problem?.fields ?? {}).find((one) => one === name || one.startsWith(`${name}.`))
  return field && problem?.fields[field]
}

function FreePath({ problem, onUse }: { problem: Problem | undefined; onUse: (path: string) => void }) {
  const free = problem?.is('model_path_taken') ? problem.facts.free_path : undefined
  if (typeof free !== 'string') return null
  return (
    <Button variant="light" size="compact-sm" onClick={() => onUse(free)}>
      Use free path <bdi>{free}</bdi>
    </Button>
  )
}

/** The changes that another person made while this form was open. */
function ConflictNotice({ names, now, edits }: { names: (keyof Fields)[]; now: Fields; edits: Partial<Fields> }) {
  return (
    <Alert color="yellow" role="alert" title="This model was changed while you edited it">
      <Text size="sm">Nothing is saved yet. Your edits are kept; the other fields show the new values.</Text>
      <List size="sm">
        {names.map((name) => (
          <List.Item key={name}>
            {LABELS[name]} is now <bdi>“{[now[name]].flat().join(', ')}”</bdi>
            {edits[name] !== undefined && '; saving replaces it with your value'}
          </List.Item>
        ))}
      </List>
    </Alert>
  )
}

/** What a field is for, and what an empty one means if the file has a value. */
function describeFact(model: Model, name: 'author' | 'license', purpose: string): string {
  const declared = getFileText(model, name)
  return declared ? `${purpose}; empty for “${declared}”, as the file or its source says` : purpose
}

function RecordFields({ model, fields, set, errorOf }: FieldsProps) {
  const textOf = (name: keyof Fields) => ({
    label: LABELS[name],
    value: String(fields[name]),
    error: errorOf(name),
    onChange: (event: { currentTarget: { value: string } }) => set({ [name]: event.currentTarget.value }),
  })
  return (
    <>
      <TextInput {...textOf('display_name')} required maxLength={MAX_LONG_NAME_LENGTH} data-autofocus />
      <Autocomplete
        {...textOf('model_type')}
        onChange={(model_type) => set({ model_type })}
        data={MODEL_TYPES}
        required
        maxLength={MAX_MODEL_TYPE_LENGTH}
      />
      <TextInput {...textOf('model_path')} description="Below the models folder of each machine" required />
      <Textarea {...textOf('description')} autosize minRows={3} maxRows={12} maxLength={MAX_DESCRIPTION_LENGTH} />
      <TagsField label={LABELS.tags} value={fields.tags} error={errorOf('tags')} onChange={(tags) => set({ tags })} />
      <TextInput
        {...textOf('author')}
        description={describeFact(model, 'author', 'Who made it')}
        maxLength={MAX_AUTHOR_LENGTH}
      />
      <TextInput
        {...textOf('license')}
        description={describeFact(model, 'license', 'A name or SPDX id, such as CC-BY-4.0')}
        maxLength={MAX_LICENSE_LENGTH}
      />
      <TextInput {...textOf('source_url')} type="url" maxLength={MAX_SOURCE_URL_LENGTH} />
      <TagsField
        label={LABELS.required_labels}
        description="Only machines that have all of these labels get the model; other machines remove it."
        value={fields.required_labels}
        error={errorOf('required_labels')}
        onChange={(required_labels) => set({ required_labels })}
      />
    </>
  )
}
