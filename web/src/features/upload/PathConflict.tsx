// A path conflict: both files and the possible solutions.

import { Button, Group, Stack, Text } from '@mantine/core'
import { usePermissions } from '@/api/permissions'
import type { Model } from '@/api/types'
import { CopyButton } from '@/components/CopyButton'
import { formatAgo, formatBytes } from '@/components/format'
import type { Item } from '@/features/upload/engine/items'
import { ModelLink } from '@/features/upload/ModelLink'
import classes from '@/features/upload/upload.module.css'

interface PathConflictProps {
  one: Item
  holder: Model
  onFree: (path: string) => void
  onReplace: () => void
}

export function PathConflict({ one, holder, onFree, onReplace }: PathConflictProps) {
  const { mayChange } = usePermissions()
  const { hash, freePath } = one
  return (
    <Stack gap={4} mt={4}>
      <Text size="sm" component="div">
        Current model:{' '}
        <ModelLink id={holder.id}>
          <bdi>{holder.display_name}</bdi>
        </ModelLink>
        , {formatBytes(holder.file_size)}, {formatAgo(holder.created_at)} by <bdi>{holder.created_by.display_name}</bdi>
        <Hash text={holder.file_hash} what="hash of the model" />
      </Text>
      <Text size="sm" component="div">
        Your file: {formatBytes(one.file.size)}
        {hash ? <Hash text={hash} what="hash of your file" /> : `, hashing: ${percent(one)}`}
      </Text>
      <Group gap="xs">
        {freePath && (
          <Button className={classes.choice} variant="default" size="compact-sm" onClick={() => onFree(freePath)}>
            Use {freePath}
          </Button>
        )}
        {mayChange(holder) ? (
          <Button variant="default" size="compact-sm" onClick={onReplace}>
            Replace model
          </Button>
        ) : (
          <Text size="sm" c="dimmed">
            Only an admin or the person who registered it can replace it.
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
