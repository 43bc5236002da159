// One file before it is sent: what it is, where it shall be, and what stands in the way.

import { ActionIcon, Button, Group, Loader, NativeSelect, Text, TextInput } from '@mantine/core'
import { IconAlertTriangle, IconBan, IconCheck, IconX } from '@tabler/icons-react'
import { memo } from 'react'
import { MODEL_TYPES } from '@/parts/modelTypes'
import { bytes } from '@/parts/words'
import { discard, replaceHolder, setPath, setType } from '@/uploading/drafting'
import type { Verdict } from '@/uploading/judging'
import { typeOf } from '@/uploading/placing'
import type { Item } from '@/uploading/state'
import { Conflict } from '@/views/upload/Conflict'
import classes from '@/views/upload/upload.module.css'

export const DraftRow = memo(function DraftRow({ draft, verdict }: { draft: Item; verdict: Verdict | undefined }) {
  const { id, file, path, stage, refusal } = draft
  const modelType = typeOf(path)
  const isShut = stage === 'reading' || refusal !== undefined
  return (
    <li className={classes.draft}>
      <div>
        <Text className={classes.name} title={draft.around} fw={500}>
          {file.name}
        </Text>
        <Text size="xs" c="dimmed" className={classes.facts}>
          {bytes(file.size)}
        </Text>
      </div>
      <NativeSelect
        className={classes.field}
        aria-label={`Type of ${file.name}`}
        size="xs"
        disabled={isShut}
        value={modelType}
        onChange={(event) => setType(id, event.currentTarget.value)}
        data={choices(modelType)}
      />
      <TextInput
        className={classes.field}
        aria-label={`Path of ${file.name}`}
        aria-describedby={`verdict-${id}`}
        aria-invalid={verdict?.kind === 'asks' || undefined}
        size="xs"
        disabled={isShut}
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
      <Said draft={draft} verdict={verdict} />
    </li>
  )
})

function choices(modelType: string) {
  const unknown = modelType === '' ? [{ value: '', label: 'Choose…' }] : []
  const own = modelType !== '' && !MODEL_TYPES.includes(modelType) ? [modelType] : []
  return [...unknown, ...own, ...MODEL_TYPES]
}

function Mark({ verdict }: { verdict: Verdict | undefined }) {
  if (!verdict || verdict.kind === 'reading') return <Loader size={16} aria-label="Looking" role="status" />
  if (verdict.kind === 'fine') return <IconCheck size={18} aria-hidden color="var(--mantine-color-teal-text)" />
  const Icon = verdict.kind === 'asks' ? IconAlertTriangle : IconBan
  return <Icon size={18} aria-hidden color="var(--mantine-color-error)" />
}

function Said({ draft, verdict }: { draft: Item; verdict: Verdict | undefined }) {
  if (!verdict?.text) return null
  const isHeld = verdict.kind === 'asks' && draft.holder
  const isPlain = verdict.kind === 'fine' || verdict.kind === 'reading'
  return (
    <div className={classes.wide} id={`verdict-${draft.id}`}>
      <Text size="sm" c={isPlain ? 'dimmed' : 'var(--mantine-color-error)'}>
        {verdict.text}
      </Text>
      {isHeld && draft.holder && (
        <Conflict
          one={draft}
          holder={draft.holder}
          onFree={(free) => setPath(draft.id, free)}
          onReplace={() => replaceHolder(draft.id)}
        />
      )}
      {!isHeld && verdict.suggestion && (
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
