// Files to upload, validated before anything is sent.

import { Alert, Button, Group, Stack, Text, Title } from '@mantine/core'
import { useMemo, useState } from 'react'
import { usePermissions } from '@/api/permissions'
import type { Team } from '@/api/types'
import boxes from '@/components/boxedList.module.css'
import { formatBytes, formatCount } from '@/components/format'
import { DraftRow } from '@/features/upload/DraftRow'
import { discard, setPath } from '@/features/upload/engine/draft'
import type { Item } from '@/features/upload/engine/items'
import { startUploads } from '@/features/upload/engine/queue'
import { NO_DETAILS } from '@/features/upload/engine/requests'
import { quotaRefusal, type Validation, validateDrafts } from '@/features/upload/engine/validate'
import { areDetailsValid, SharedFields } from '@/features/upload/SharedFields'

// A row has two fields; thousands of them at once would make typing slow.
const ROWS_AT_ONCE = 100

interface DraftsProps {
  drafts: readonly Item[]
  /** All files in the list, because a draft must not have the same path as a running upload. */
  items: readonly Item[]
  team: Team | undefined
}

export function Drafts({ drafts, items, team }: DraftsProps) {
  const [notes, setNotes] = useState(NO_DETAILS)
  const [shown, setShown] = useState(ROWS_AT_ONCE)
  const { mayChange } = usePermissions()
  const verdicts = useMemo(() => validateDrafts(items, team, mayChange), [items, team, mayChange])
  const validDrafts = drafts.filter((one) => verdicts.get(one.id)?.kind === 'valid')
  const refusal = quotaRefusal(validDrafts, team, formatBytes)
  const hasFolders = validDrafts.some(({ folder }) => folder !== undefined)
  const size = validDrafts.reduce((sum, one) => sum + one.file.size, 0)
  return (
    <section aria-labelledby="drafts">
      <Stack gap="sm">
        <Group justify="space-between">
          <Title order={2} size="h3" id="drafts">
            Files to upload
          </Title>
          <Button variant="subtle" color="gray" size="compact-sm" onClick={() => discard(drafts.map(({ id }) => id))}>
            Remove all
          </Button>
        </Group>
        <Suggestions drafts={drafts} verdicts={verdicts} />
        <ul className={boxes.list}>
          {drafts.slice(0, shown).map((one) => (
            <DraftRow key={one.id} draft={one} verdict={verdicts.get(one.id)} />
          ))}
        </ul>
        {drafts.length > shown && (
          <Button variant="default" onClick={() => setShown(shown + ROWS_AT_ONCE)}>
            Show more of {formatCount(drafts.length, 'file')}
          </Button>
        )}
        <SharedFields notes={notes} onChange={setNotes} />
        {refusal && (
          <Alert color="red" title="The team's quota is too small for these files" role="alert">
            {refusal}
          </Alert>
        )}
        <Group>
          <Button
            disabled={validDrafts.length === 0 || refusal !== undefined || !areDetailsValid(notes)}
            onClick={() =>
              startUploads(
                validDrafts.map(({ id }) => id),
                notes,
              )
            }
          >
            {validDrafts.length === 0
              ? 'Upload'
              : `Upload ${formatCount(validDrafts.length, hasFolders ? 'model' : 'file')}, ${formatBytes(size)}`}
          </Button>
          <Text size="sm" c="dimmed">
            {summary(drafts, verdicts)}
          </Text>
        </Group>
      </Stack>
    </section>
  )
}

function summary(drafts: readonly Item[], verdicts: Map<number, Validation>): string {
  const number = (kind: Validation['kind']) => drafts.filter(({ id }) => verdicts.get(id)?.kind === kind).length
  const said = [
    [number('reading'), 'being checked'],
    [number('needs-input'), 'waiting for your decision'],
    [number('refused'), 'cannot be uploaded'],
  ] as const
  return said.flatMap(([many, what]) => (many > 0 ? [`${many} ${what}`] : [])).join(', ')
}

/** Applies all suggested paths. */
function Suggestions({ drafts, verdicts }: { drafts: readonly Item[]; verdicts: Map<number, Validation> }) {
  const unfit = drafts.flatMap(({ id, existing }) => {
    const suggestion = verdicts.get(id)?.suggestion
    return suggestion && !existing ? [{ id, suggestion }] : []
  })
  if (unfit.length < 2) return null
  return (
    <Group>
      <Button
        variant="default"
        size="compact-sm"
        onClick={() => {
          for (const { id, suggestion } of unfit) setPath(id, suggestion)
        }}
      >
        Use suggested paths for all {unfit.length}
      </Button>
    </Group>
  )
}
