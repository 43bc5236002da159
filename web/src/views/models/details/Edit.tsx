// A model's record as a form. Only what was edited is sent, and only if nobody else changed the record meanwhile.

import { Alert, Autocomplete, Button, Group, List, Stack, Text, Textarea, TextInput } from '@mantine/core'
import { useState } from 'react'
import { asProblem, type Problem } from '@/api/problem'
import { MODEL_TYPES } from '@/parts/modelTypes'
import { done, failed } from '@/parts/notify'
import { WordList } from '@/parts/WordList'
import { type ReadModel, renew, renewLists } from '@/views/models/asking'
import { change } from '@/views/models/changing'
import { changeOf, differences, type Fields, fieldsOf, LABELS } from '@/views/models/details/fields'
import classes from '@/views/models/models.module.css'

interface Form {
  fields: Fields
  errorOf: (name: keyof Fields) => string | undefined
  set: (change: Partial<Fields>) => void
}

export function Edit({ start, onClose }: { start: ReadModel; onClose: () => void }) {
  // Held fast: the record that lives beside the form may move on, and then saving has to say so.
  const [base, setBase] = useState(start)
  const [edits, setEdits] = useState<Partial<Fields>>({})
  const [theirs, setTheirs] = useState<(keyof Fields)[]>([])
  const [problem, setProblem] = useState<Problem>()
  const [isBusy, setBusy] = useState(false)
  const before = fieldsOf(base.model)
  const fields = { ...before, ...edits }
  const set = (some: Partial<Fields>) => setEdits({ ...edits, ...some })

  const save = async (from: ReadModel): Promise<void> => {
    const was = fieldsOf(from.model)
    const names = differences(was, { ...was, ...edits })
    if (names.length) await change(from.model.id, changeOf({ ...was, ...edits }, names), from.etag)
    await shown(from.model.id)
    onClose()
    if (names.length) {
      done('Saved.', async () => {
        await change(from.model.id, changeOf(was, names))
        await shown(from.model.id)
      })
    }
  }
  const onStale = async (): Promise<void> => {
    const now = await renew(base.model.id)
    const changed = differences(before, fieldsOf(now.model))
    setBase(now)
    // The registry itself moves a record on, when it has read the bytes: that is no reason to ask.
    if (changed.length === 0) await save(now)
    else setTheirs(changed)
  }
  const onSubmit = async () => {
    setBusy(true)
    setProblem(undefined)
    setTheirs([])
    try {
      await save(base).catch((error) => {
        if (asProblem(error).status !== 412) throw error
        return onStale()
      })
    } catch (error) {
      const refused = asProblem(error)
      setProblem(refused)
      if (refused.code !== 'model_path_taken' && Object.keys(refused.fields).length === 0) failed(error)
    } finally {
      setBusy(false)
    }
  }
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault()
        void onSubmit()
      }}
    >
      <Stack>
        {theirs.length > 0 && <Theirs names={theirs} now={before} edits={edits} />}
        <FieldsOfRecord fields={fields} set={set} errorOf={(name) => errorOf(problem, name)} />
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

async function shown(id: string): Promise<void> {
  await renew(id)
  void renewLists()
}

function errorOf(problem: Problem | undefined, name: keyof Fields): string | undefined {
  if (problem?.code === 'model_path_taken' && name === 'model_path') return problem.message
  // A list's fault is told of its part: `tags.3`.
  const field = Object.keys(problem?.fields ?? {}).find((one) => one === name || one.startsWith(`${name}.`))
  return field && problem?.fields[field]
}

function FreePath({ problem, onUse }: { problem: Problem | undefined; onUse: (path: string) => void }) {
  const free = problem?.code === 'model_path_taken' ? problem.facts.free_path : undefined
  if (typeof free !== 'string') return null
  return (
    <Button variant="light" size="compact-sm" onClick={() => onUse(free)}>
      Use the free path <bdi>{free}</bdi>
    </Button>
  )
}

/** What somebody else made of the record while this form was open. */
function Theirs({ names, now, edits }: { names: (keyof Fields)[]; now: Fields; edits: Partial<Fields> }) {
  return (
    <Alert color="yellow" role="alert" title="Somebody else changed this model meanwhile">
      <Text size="sm">Nothing was saved yet. What you edited is still here; the rest shows the new state.</Text>
      <List size="sm">
        {names.map((name) => (
          <List.Item key={name}>
            {LABELS[name]} is now <bdi>“{[now[name]].flat().join(', ')}”</bdi>
            {edits[name] !== undefined && '; saving puts yours in its place'}
          </List.Item>
        ))}
      </List>
    </Alert>
  )
}

function FieldsOfRecord({ fields, set, errorOf }: Form) {
  const textOf = (name: keyof Fields) => ({
    label: LABELS[name],
    value: String(fields[name]),
    error: errorOf(name),
    onChange: (event: { currentTarget: { value: string } }) => set({ [name]: event.currentTarget.value }),
  })
  return (
    <>
      <TextInput {...textOf('display_name')} required maxLength={255} data-autofocus />
      <Autocomplete
        {...textOf('model_type')}
        onChange={(model_type) => set({ model_type })}
        data={MODEL_TYPES}
        required
        maxLength={50}
      />
      <TextInput {...textOf('model_path')} description="Below the models folder of each machine" required />
      <Textarea {...textOf('description')} autosize minRows={3} maxRows={12} maxLength={10_000} />
      <WordList label={LABELS.tags} value={fields.tags} error={errorOf('tags')} onChange={(tags) => set({ tags })} />
      <TextInput {...textOf('license')} description="A name or SPDX id, such as CC-BY-4.0" maxLength={200} />
      <TextInput {...textOf('source_url')} type="url" maxLength={2000} />
      <WordList
        label={LABELS.required_labels}
        description="Only machines that have all of these get the model; it leaves the others."
        value={fields.required_labels}
        error={errorOf('required_labels')}
        onChange={(required_labels) => set({ required_labels })}
      />
    </>
  )
}
