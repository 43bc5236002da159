// A draft to confirm: which file, what it is, and where it belongs.

import { Alert, Button, Group, NativeSelect, Stack, Text, TextInput } from '@mantine/core'
import { useMutation } from '@tanstack/react-query'
import { type FormEvent, useState } from 'react'
import { isReadableName } from '@/api/names'
import { asProblem } from '@/api/problem'
import type { ImportDraft, Model } from '@/api/types'
import { BaseModelField } from '@/components/BaseModelField'
import { TagsField } from '@/components/TagsField'
import { DraftFacts } from '@/features/imports/DraftFacts'
import { describeFile } from '@/features/imports/describeImport'
import { confirmDraft, type DraftFields, readDraft } from '@/features/imports/draftFields'
import { FileChoice } from '@/features/imports/FileChoice'
import { type RefusedFile, startImport } from '@/features/imports/mutations'
import { RefusedFiles, SeveralFiles } from '@/features/imports/SeveralFiles'
import { findPathProblem, getTypeOfPath, withType } from '@/features/upload/engine/suggestPath'
import { buildTypeOptions } from '@/features/upload/engine/typeOptions'
import {
  MAX_LICENSE_LENGTH,
  MAX_LONG_NAME_LENGTH,
  MAX_TRIGGER_LENGTH,
  MAX_TRIGGER_WORDS,
} from '@/generated/fieldLimits'

interface DraftFormProps {
  /** The draft of the link. */
  found: ImportDraft
  /** The draft of the only chosen file; undefined while it is looked up, or if it cannot be imported. */
  draft: ImportDraft | undefined
  /** The addresses of the chosen files. */
  chosen: string[]
  neededPath?: string
  replaces?: Model
  onChoose: (urls: string[]) => void
  onStarted: (name: string) => void
  onClose: () => void
}

export function DraftForm({ found, draft, chosen, onChoose, ...form }: DraftFormProps) {
  const [refused, setRefused] = useState<RefusedFile[]>([])
  const files = found.file_list
  const isForOneModel = form.neededPath !== undefined || form.replaces !== undefined
  const onEnd = (left: RefusedFile[]) => {
    if (left.length === 0) return form.onClose()
    setRefused(left)
    onChoose(left.map(({ item }) => item.url))
  }
  return (
    <Stack>
      {files.length > 1 &&
        (isForOneModel ? (
          <NativeSelect
            label="File"
            value={chosen[0] ?? ''}
            onChange={(event) => onChoose([event.currentTarget.value])}
            data={files.map((file) => ({ value: file.url, label: describeFile(file) }))}
          />
        ) : (
          <FileChoice files={files} chosen={chosen} onChoose={onChoose} />
        ))}
      {refused.length > 0 && <RefusedFiles refused={refused} />}
      {chosen.length === 0 && <Text size="sm">Choose at least one file.</Text>}
      {chosen.length === 1 && draft && <Confirmation key={draft.url} draft={draft} {...form} />}
      {chosen.length > 1 && (
        <SeveralFiles
          draft={found}
          files={files.filter(({ url }) => chosen.includes(url))}
          onEnd={onEnd}
          onClose={form.onClose}
        />
      )}
    </Stack>
  )
}

type ConfirmationProps = Pick<DraftFormProps, 'neededPath' | 'replaces' | 'onStarted' | 'onClose'> & {
  draft: ImportDraft
}

function Confirmation({ draft, neededPath, replaces, onStarted, onClose }: ConfirmationProps) {
  const { size } = draft
  const [fields, setFields] = useState(() => readDraft(draft, neededPath, replaces))
  const start = useMutation({
    mutationFn: () => startImport(confirmDraft(draft, fields, replaces)),
    onSuccess: () => onStarted(fields.name.trim()),
  })
  const problem = start.error ? asProblem(start.error) : undefined
  const isValid = isReadableName(fields.name.trim()) && (replaces !== undefined || !findPathProblem(fields.path))
  const onSubmit = (event: FormEvent) => {
    event.preventDefault()
    if (isValid) start.mutate()
  }
  return (
    <form onSubmit={onSubmit}>
      <Stack>
        {replaces && (
          <Text size="sm">
            The file becomes the next version of <bdi>{replaces.model_path}</bdi>. Machines get it once it is verified.
          </Text>
        )}
        <DraftFacts draft={draft} />
        {size === null && (
          <Text size="sm">
            The source does not say the size of the file: the quota is reserved while it is downloaded.
          </Text>
        )}
        <Fields
          fields={fields}
          isPathFixed={replaces !== undefined}
          refusals={problem?.fields ?? {}}
          onChange={(some) => setFields({ ...fields, ...some })}
        />
        {problem && (
          <Alert color="red" title={problem.title} role="alert">
            <Text size="sm">{problem.message}</Text>
          </Alert>
        )}
        <Group justify="flex-end">
          <Button variant="default" onClick={onClose}>
            Cancel
          </Button>
          <Button type="submit" loading={start.isPending} disabled={!isValid}>
            Import
          </Button>
        </Group>
      </Stack>
    </form>
  )
}

interface FieldsProps {
  fields: DraftFields
  /** Whether a model has the path already. */
  isPathFixed: boolean
  /** What the registry refused, by its field. */
  refusals: Readonly<Record<string, string>>
  onChange: (some: Partial<DraftFields>) => void
}

function Fields({ fields, isPathFixed, refusals, onChange }: FieldsProps) {
  const { name, path } = fields
  const modelType = getTypeOfPath(path)
  return (
    <>
      <TextInput
        label="Name"
        maxLength={MAX_LONG_NAME_LENGTH}
        value={name}
        error={refusals.display_name ?? (!isReadableName(name.trim()) && 'Enter a name.')}
        onChange={(event) => onChange({ name: event.currentTarget.value })}
      />
      <Group align="flex-start" grow>
        <NativeSelect
          label="Type"
          value={modelType}
          disabled={isPathFixed}
          error={refusals.model_type}
          onChange={(event) => onChange({ path: withType(path, event.currentTarget.value) })}
          data={buildTypeOptions(modelType)}
        />
        <BaseModelField
          value={fields.baseModel}
          error={refusals.base_model ?? refusals['sidecar.base_model']}
          onChange={(baseModel) => onChange({ baseModel })}
        />
      </Group>
      <TextInput
        label="Path"
        value={path}
        disabled={isPathFixed}
        error={refusals.model_path ?? (isPathFixed ? undefined : findPathProblem(path)?.why)}
        onChange={(event) => onChange({ path: event.currentTarget.value })}
        spellCheck={false}
      />
      <TagsField
        label="Trigger words"
        description="Press Enter after each"
        maxTags={MAX_TRIGGER_WORDS}
        maxLength={MAX_TRIGGER_LENGTH}
        value={fields.triggerWords}
        error={refusals.trigger_words}
        onChange={(triggerWords) => onChange({ triggerWords })}
      />
      <TextInput
        label="License"
        maxLength={MAX_LICENSE_LENGTH}
        value={fields.license}
        error={refusals.license}
        onChange={(event) => onChange({ license: event.currentTarget.value })}
      />
    </>
  )
}
