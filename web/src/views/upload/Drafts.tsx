// What was dropped and waits for a yes, with all that would be refused said before the first byte.

import { Alert, Button, Group, Stack, Text, Title } from '@mantine/core'
import { useMemo, useState } from 'react'
import type { Team } from '@/api/types'
import { bytes, count } from '@/parts/words'
import { NO_NOTES } from '@/uploading/asking'
import { discard, setPath } from '@/uploading/drafting'
import { start } from '@/uploading/engine'
import { judged, quotaRefusal, type Verdict } from '@/uploading/judging'
import type { Item } from '@/uploading/state'
import { DraftRow } from '@/views/upload/DraftRow'
import { ForAll, isFit } from '@/views/upload/ForAll'
import classes from '@/views/upload/upload.module.css'

// A row has two fields; thousands of them at once would make typing slow.
const ROWS_AT_ONCE = 100

interface Asked {
  drafts: readonly Item[]
  /** Everything in the list, since a draft must not become the same model as something that is on its way. */
  items: readonly Item[]
  team: Team | undefined
}

export function Drafts({ drafts, items, team }: Asked) {
  const [notes, setNotes] = useState(NO_NOTES)
  const [shown, setShown] = useState(ROWS_AT_ONCE)
  const verdicts = useMemo(() => judged(items, team), [items, team])
  const fine = drafts.filter((one) => verdicts.get(one.id)?.kind === 'fine')
  const refusal = quotaRefusal(fine, team, bytes)
  const size = fine.reduce((sum, one) => sum + one.file.size, 0)
  return (
    <section aria-labelledby="drafts">
      <Stack gap="sm">
        <Group justify="space-between">
          <Title order={2} size="h3" id="drafts">
            Ready to upload?
          </Title>
          <Button variant="subtle" color="gray" size="compact-sm" onClick={() => discard(drafts.map(({ id }) => id))}>
            Remove all
          </Button>
        </Group>
        <Suggestions drafts={drafts} verdicts={verdicts} />
        <ul className={classes.list}>
          {drafts.slice(0, shown).map((one) => (
            <DraftRow key={one.id} draft={one} verdict={verdicts.get(one.id)} />
          ))}
        </ul>
        {drafts.length > shown && (
          <Button variant="default" onClick={() => setShown(shown + ROWS_AT_ONCE)}>
            Show more of {count(drafts.length, 'file')}
          </Button>
        )}
        <ForAll notes={notes} onChange={setNotes} />
        {refusal && (
          <Alert color="red" title="The team's quota is too small for all of them" role="alert">
            {refusal}
          </Alert>
        )}
        <Group>
          <Button
            disabled={fine.length === 0 || refusal !== undefined || !isFit(notes)}
            onClick={() =>
              start(
                fine.map(({ id }) => id),
                notes,
              )
            }
          >
            {fine.length === 0 ? 'Upload' : `Upload ${count(fine.length, 'file')}, ${bytes(size)}`}
          </Button>
          <Text size="sm" c="dimmed">
            {summary(drafts, verdicts)}
          </Text>
        </Group>
      </Stack>
    </section>
  )
}

function summary(drafts: readonly Item[], verdicts: Map<number, Verdict>): string {
  const number = (kind: Verdict['kind']) => drafts.filter(({ id }) => verdicts.get(id)?.kind === kind).length
  const said = [
    [number('reading'), 'being looked at'],
    [number('asks'), 'waiting for your answer'],
    [number('refused'), 'cannot be uploaded'],
  ] as const
  return said.flatMap(([many, what]) => (many > 0 ? [`${many} ${what}`] : [])).join(', ')
}

/** One click for all names that no machine can hold as they are. */
function Suggestions({ drafts, verdicts }: { drafts: readonly Item[]; verdicts: Map<number, Verdict> }) {
  const unfit = drafts.flatMap(({ id, holder }) => {
    const suggestion = verdicts.get(id)?.suggestion
    return suggestion && !holder ? [{ id, suggestion }] : []
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
        Use clean names for all {unfit.length}
      </Button>
    </Group>
  )
}
