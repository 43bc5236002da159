// Uploads of an earlier visit. A page cannot reopen a file by itself: the person has to select it again.

import { Button, Group, Progress, Stack, Text, Title } from '@mantine/core'
import { useQuery, useQueryClient } from '@tanstack/react-query'
import { useRef } from 'react'
import boxes from '@/components/boxedList.module.css'
import { formatAgo, formatBytes } from '@/components/format'
import { notify, notifyError } from '@/components/notify'
import { draft, type Owner } from '@/features/upload/engine/draft'
import type { Item } from '@/features/upload/engine/items'
import { startUploads } from '@/features/upload/engine/queue'
import { discardUpload, isSameFile, listUnfinished, type UnfinishedUpload } from '@/features/upload/engine/unfinished'
import classes from '@/features/upload/upload.module.css'

export function UnfinishedUploads({ whose, items }: { whose: Owner; items: readonly Item[] }) {
  const listed = items.map(({ id, stage }) => `${id}${stage === 'done'}`).join()
  const { data: left = [] } = useQuery({
    queryKey: ['unfinished uploads', whose.teamId, listed],
    queryFn: () => listUnfinished(whose.teamId, items),
    placeholderData: (before) => before,
  })
  if (left.length === 0) return null
  return (
    <section aria-labelledby="unfinished">
      <Stack gap="sm">
        <Title order={2} size="h3" id="unfinished">
          Unfinished uploads
        </Title>
        <ul className={boxes.list}>
          {left.map((one) => (
            <UnfinishedRow key={one.storageKey} left={one} whose={whose} />
          ))}
        </ul>
      </Stack>
    </section>
  )
}

function UnfinishedRow({ left, whose }: { left: UnfinishedUpload; whose: Owner }) {
  const input = useRef<HTMLInputElement>(null)
  const queries = useQueryClient()
  const onPicked = (file: File | undefined) => {
    if (!file) return
    if (isSameFile(left, file)) {
      draft([{ file, relativePath: file.name }], whose).then((ids) => startUploads(ids, left.notes), notifyError)
    } else notify('This is a different file: its name, size or modification time differs.')
  }
  const onDiscard = () => {
    discardUpload(left)
      .then(() => queries.invalidateQueries({ queryKey: ['unfinished uploads'] }))
      .catch(notifyError)
  }
  return (
    <li className={classes.transfer}>
      <div>
        <Text className={classes.name} fw={500}>
          {left.name}
        </Text>
        <Text size="sm" c="dimmed">
          {`${Math.floor((100 * left.storedBytes) / left.size)} % stored: ${formatBytes(left.storedBytes)} of ${formatBytes(left.size)} are uploaded; started ${formatAgo(new Date(left.begun).toISOString())}`}
        </Text>
      </div>
      <Group gap="xs" justify="flex-end">
        <input ref={input} type="file" hidden onChange={(event) => onPicked(event.currentTarget.files?.[0])} />
        <Button size="compact-sm" onClick={() => input.current?.click()}>
          Select file to resume
        </Button>
        <Button size="compact-sm" variant="default" onClick={onDiscard}>
          Discard upload
        </Button>
      </Group>
      <Progress
        className={classes.wide}
        value={(100 * left.storedBytes) / left.size}
        color="gray"
        aria-label={`Stored part of ${left.name}`}
      />
    </li>
  )
}
