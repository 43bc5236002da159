// Uploads of an earlier visit. A page may not open a file by itself: it has to be picked again.

import { Button, Group, Progress, Stack, Text, Title } from '@mantine/core'
import { useQuery, useQueryClient } from '@tanstack/react-query'
import { useRef } from 'react'
import { failed, said } from '@/parts/notify'
import { ago, bytes } from '@/parts/words'
import { draft, type Whose } from '@/uploading/drafting'
import { start } from '@/uploading/engine'
import { giveUp, isSameFile, type Left, leftOver } from '@/uploading/resuming'
import type { Item } from '@/uploading/state'
import classes from '@/views/upload/upload.module.css'

export function Unfinished({ whose, items }: { whose: Whose; items: readonly Item[] }) {
  const listed = items.map(({ id, stage }) => `${id}${stage === 'done'}`).join()
  const { data: left = [] } = useQuery({
    queryKey: ['unfinished uploads', whose.teamId, listed],
    queryFn: () => leftOver(whose.teamId, items),
    placeholderData: (before) => before,
  })
  if (left.length === 0) return null
  return (
    <section aria-labelledby="unfinished">
      <Stack gap="sm">
        <Title order={2} size="h3" id="unfinished">
          Not finished
        </Title>
        <ul className={classes.list}>
          {left.map((one) => (
            <UnfinishedRow key={one.storageKey} left={one} whose={whose} />
          ))}
        </ul>
      </Stack>
    </section>
  )
}

function UnfinishedRow({ left, whose }: { left: Left; whose: Whose }) {
  const input = useRef<HTMLInputElement>(null)
  const queries = useQueryClient()
  const onPicked = (file: File | undefined) => {
    if (!file) return
    if (isSameFile(left, file)) {
      draft([{ file, around: file.name }], whose).then((ids) => start(ids, left.notes), failed)
    } else said('That is another file: its name, size or time of change differs.')
  }
  const onGiveUp = () => {
    giveUp(left)
      .then(() => queries.invalidateQueries({ queryKey: ['unfinished uploads'] }))
      .catch(failed)
  }
  return (
    <li className={classes.transfer}>
      <div>
        <Text className={classes.name} fw={500}>
          {left.name}
        </Text>
        <Text size="sm" c="dimmed">
          {`${bytes(left.held)} of ${bytes(left.size)} have arrived; begun ${ago(new Date(left.begun).toISOString())}`}
        </Text>
      </div>
      <Group gap="xs" justify="flex-end">
        <input ref={input} type="file" hidden onChange={(event) => onPicked(event.currentTarget.files?.[0])} />
        <Button size="compact-sm" onClick={() => input.current?.click()}>
          Pick the file again to go on
        </Button>
        <Button size="compact-sm" variant="default" onClick={onGiveUp}>
          Give up
        </Button>
      </Group>
      <Progress
        className={classes.wide}
        value={(100 * left.held) / left.size}
        color="gray"
        aria-label={`Arrived of ${left.name}`}
      />
    </li>
  )
}
