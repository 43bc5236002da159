// Two files that want one path: which they are, and what can be done.

import { Button, Group, Stack, Text } from '@mantine/core'
import { usePermissions } from '@/api/permissions'
import type { Model } from '@/api/types'
import { CopyButton } from '@/parts/copying'
import { ago, bytes } from '@/parts/words'
import type { Item } from '@/uploading/state'
import { ModelLink } from '@/views/upload/ModelLink'
import classes from '@/views/upload/upload.module.css'

interface Asked {
  one: Item
  holder: Model
  onFree: (path: string) => void
  onReplace: () => void
}

export function Conflict({ one, holder, onFree, onReplace }: Asked) {
  const { mayChange } = usePermissions()
  const { hash, freePath } = one
  return (
    <Stack gap={4} mt={4}>
      <Text size="sm" component="div">
        There now:{' '}
        <ModelLink id={holder.id}>
          <bdi>{holder.display_name}</bdi>
        </ModelLink>
        , {bytes(holder.file_size)}, {ago(holder.created_at)} by <bdi>{holder.created_by.display_name}</bdi>
        <Hash text={holder.file_hash} what="hash of the model" />
      </Text>
      <Text size="sm" component="div">
        Yours: {bytes(one.file.size)}
        {hash ? <Hash text={hash} what="hash of your file" /> : `, being read: ${percent(one)}`}
      </Text>
      <Group gap="xs">
        {freePath && (
          <Button className={classes.choice} variant="default" size="compact-sm" onClick={() => onFree(freePath)}>
            Use {freePath}
          </Button>
        )}
        {mayChange(holder) ? (
          <Button variant="default" size="compact-sm" onClick={onReplace}>
            Replace the model
          </Button>
        ) : (
          <Text size="sm" c="dimmed">
            Only who registered it, or an admin, may replace it.
          </Text>
        )}
      </Group>
    </Stack>
  )
}

function Hash({ text, what }: { text: string; what: string }) {
  return (
    <Group gap={4} wrap="nowrap">
      <span className={classes.hash}>{text}</span>
      <CopyButton text={text} what={what} />
    </Group>
  )
}

function percent({ hashed, file }: Item): string {
  return `${Math.floor((100 * hashed) / file.size)} %`
}
