// One file before the upload: type, path and validation message.

import { ActionIcon, Button, Group, Loader, NativeSelect, Stack, Text, TextInput } from '@mantine/core'
import { IconAlertTriangle, IconBan, IconCheck, IconX } from '@tabler/icons-react'
import { memo } from 'react'
import { formatBytes, formatCount } from '@/components/format'
import { acceptType, discard, makeNextVersion, setPath, setType } from '@/features/upload/engine/draft'
import { findRepaired, type Item } from '@/features/upload/engine/items'
import { getTypeOfPath } from '@/features/upload/engine/suggestPath'
import { buildTypeOptions } from '@/features/upload/engine/typeOptions'
import type { Validation } from '@/features/upload/engine/validate'
import { PathConflict } from '@/features/upload/PathConflict'
import { SidecarNotes } from '@/features/upload/sidecars/SidecarNotes'
import classes from '@/features/upload/upload.module.css'
import { VersionNote } from '@/features/upload/VersionNote'

export const DraftRow = memo(function DraftRow({ draft, verdict }: { draft: Item; verdict: Validation | undefined }) {
  const { id, file, path, stage, refusal } = draft
  const modelType = getTypeOfPath(path)
  const isDisabled = stage === 'reading' || refusal !== undefined
  return (
    <li className={classes.draft}>
      <div>
        <Text className={classes.name} title={draft.relativePath} fw={500}>
          {file.name}
        </Text>
        <Text size="xs" c="dimmed" className={classes.facts}>
          {formatBytes(file.size)}
          {draft.folder && ` in ${formatCount(draft.folder.length, 'file')}`}
        </Text>
      </div>
      <NativeSelect
        className={classes.field}
        aria-label={`Type of ${file.name}`}
        size="xs"
        disabled={isDisabled}
        value={modelType}
        onChange={(event) => setType(id, event.currentTarget.value)}
        data={buildTypeOptions(modelType, draft.folder !== undefined)}
      />
      <TextInput
        className={classes.field}
        aria-label={`Path of ${file.name}`}
        aria-describedby={`verdict-${id}`}
        aria-invalid={verdict?.kind === 'needs-input' || undefined}
        size="xs"
        disabled={isDisabled}
        value={path}
        onChange={(event) => setPath(id, event.currentTarget.value)}
        spellCheck={false}
      />
      <Group className={classes.actions} gap="xs" wrap="nowrap" justify="flex-end">
        <Mark verdict={verdict} />
        <ActionIcon variant="subtle" color="gray" aria-label={`Remove ${file.name}`} onClick={() => discard([id])}>
          <IconX size={16} />
        </ActionIcon>
      </Group>
      <SidecarNotes draft={draft} />
      <ValidationMessage draft={draft} verdict={verdict} />
    </li>
  )
})

function Mark({ verdict }: { verdict: Validation | undefined }) {
  if (!verdict || verdict.kind === 'reading') return <Loader size={16} aria-label="Checking" role="status" />
  if (verdict.kind === 'valid') return <IconCheck size={18} aria-hidden color="var(--mantine-color-teal-text)" />
  const Icon = verdict.kind === 'needs-input' ? IconAlertTriangle : IconBan
  return <Icon size={18} aria-hidden color="var(--mantine-color-error)" />
}

function ValidationMessage({ draft, verdict }: { draft: Item; verdict: Validation | undefined }) {
  if (!verdict?.text) return null
  const { isPathTaken, newType } = verdict
  const isInformation = verdict.kind === 'valid' || verdict.kind === 'reading'
  return (
    <div className={classes.wide} id={`verdict-${draft.id}`}>
      <Text size="sm" c={isInformation ? 'dimmed' : 'var(--mantine-color-error)'}>
        {verdict.text}
      </Text>
      {isPathTaken && draft.existing && (
        <PathConflict
          one={draft}
          holder={draft.existing}
          onFree={(free) => setPath(draft.id, free)}
          onNextVersion={() => makeNextVersion(draft.id)}
        />
      )}
      {newType && (
        <Button
          className={classes.choice}
          mt={4}
          variant="default"
          size="compact-sm"
          onClick={() => acceptType(newType)}
        >
          Use new type {newType}
        </Button>
      )}
      {verdict.kind === 'valid' && draft.existing && !findRepaired(draft) && <NextVersionFields draft={draft} />}
      {!isPathTaken && verdict.suggestion && (
        <Button
          className={classes.choice}
          mt={4}
          variant="default"
          size="compact-sm"
          onClick={() => setPath(draft.id, verdict.suggestion ?? draft.path)}
        >
          Use {verdict.suggestion}
        </Button>
      )}
    </div>
  )
}

/** The note of the next version, and the way back to a path of its own. */
function NextVersionFields({ draft }: { draft: Item }) {
  const { id, freePath } = draft
  return (
    <Stack gap="xs" mt={4} align="flex-start">
      <VersionNote one={draft} />
      {freePath && (
        <Button className={classes.choice} variant="default" size="compact-sm" onClick={() => setPath(id, freePath)}>
          Use {freePath}
        </Button>
      )}
    </Stack>
  )
}
