// A path conflict: both files, and the choice between the next version of the model and another path.

import { Button, Group, Stack, Text } from '@mantine/core'
import { usePermissions } from '@/api/permissions'
import type { Model } from '@/api/types'
import { CopyButton } from '@/components/CopyButton'
import { formatAgo, formatBytes } from '@/components/format'
import { formatModelSize } from '@/components/modelSize'
import type { Item } from '@/features/upload/engine/items'
import { ModelLink } from '@/features/upload/ModelLink'
import classes from '@/features/upload/upload.module.css'
import { VersionNote } from '@/features/upload/VersionNote'

interface PathConflictProps {
  one: Item
  holder: Model
  onFree: (path: string) => void
  onNextVersion: () => void
}

export function PathConflict({ one, holder, onFree, onNextVersion }: PathConflictProps) {
  const { mayChange } = usePermissions()
  const { hash, freePath, newest } = one
  const number = newest?.next
  return (
    <Stack gap={4} mt={4}>
      <Text size="sm" component="div">
        Current model:{' '}
        <ModelLink id={holder.id}>
          <bdi>{holder.display_name}</bdi>
        </ModelLink>
        , version {holder.version}, {formatModelSize(holder)}, registered {formatAgo(holder.created_at)} by{' '}
        <bdi>{holder.created_by.display_name}</bdi>
        <Hash text={holder.file_hash} what="hash of the model" />
      </Text>
      {newest && newest.version !== holder.version && (
        <Text size="sm" component="div">
          Newest version: {newest.version}, {formatBytes(newest.file_size)}, {formatAgo(newest.created_at)} by{' '}
          <bdi>{newest.created_by.display_name}</bdi>
          <Hash text={newest.file_hash} what="hash of the newest version" />
        </Text>
      )}
      <Text size="sm" component="div">
        Your file: {formatBytes(one.file.size)}
        {hash ? <Hash text={hash} what="hash of your file" /> : `, hashing: ${percent(one)}`}
      </Text>
      {mayChange(holder) && <VersionNote one={one} />}
      <Group gap="xs">
        {mayChange(holder) ? (
          <Button size="compact-sm" disabled={number === undefined} onClick={onNextVersion}>
            {number === undefined ? 'Upload as new version' : `Upload as version ${number}`}
          </Button>
        ) : (
          <Text size="sm" c="dimmed">
            Only an admin or the person who registered it can upload a new version.
          </Text>
        )}
        {freePath && (
          <Button className={classes.choice} variant="default" size="compact-sm" onClick={() => onFree(freePath)}>
            Use {freePath}
          </Button>
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
