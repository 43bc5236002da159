// What is new in the version that a file becomes.

import { Textarea } from '@mantine/core'
import { setVersionNote } from '@/features/upload/engine/draft'
import type { Item } from '@/features/upload/engine/items'
import { MAX_DESCRIPTION_LENGTH } from '@/generated/fieldLimits'

export function VersionNote({ one }: { one: Item }) {
  const number = one.newest?.next
  return (
    <Textarea
      label={number === undefined ? 'Note for the new version' : `Note for version ${number}`}
      placeholder="What is new?"
      size="xs"
      w="100%"
      maw={640}
      autosize
      minRows={1}
      maxRows={6}
      maxLength={MAX_DESCRIPTION_LENGTH}
      value={one.versionNote ?? ''}
      onChange={(event) => setVersionNote(one.id, event.currentTarget.value)}
    />
  )
}
