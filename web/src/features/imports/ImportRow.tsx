// The row of one import: its model, its progress, and what can be done.

import { ActionIcon, Button, Group, Progress, Text } from '@mantine/core'
import { IconX } from '@tabler/icons-react'
import { memo, useState } from 'react'
import { usePermissions } from '@/api/permissions'
import type { ModelImport } from '@/api/types'
import { formatBytes } from '@/components/format'
import { AnchorLink } from '@/components/links'
import { ModelPicture } from '@/components/ModelPicture'
import { formatModelType } from '@/components/modelType'
import { describeImport, isWaiting } from '@/features/imports/describeImport'
import { cancelImport, retryImport } from '@/features/imports/mutations'
import classes from '@/features/upload/recent/recent.module.css'

export const ImportRow = memo(function ImportRow({ one }: { one: ModelImport }) {
  const { userId } = usePermissions()
  const { created_by: creator, display_name, model_type } = one
  const by = creator.id === userId ? '' : `by ${creator.display_name}`
  return (
    <li className={classes.row} aria-label={display_name}>
      <span className={classes.picture}>
        <ModelPicture model={{ display_name, model_type }} isSmall />
      </span>
      <span className={classes.names}>
        <ModelName one={one} />
        <Text size="xs" c="dimmed">
          {[formatModelType(model_type), by].filter(Boolean).join(' · ')}
        </Text>
      </span>
      <span className={classes.size}>{one.file_size === null ? '' : formatBytes(one.file_size)}</span>
      <ImportState one={one} />
      <Actions one={one} />
    </li>
  )
})

function ModelName({ one: { display_name, model_id, model_path, url } }: { one: ModelImport }) {
  if (!model_id) {
    return (
      <Text size="sm" fw={600} title={`${model_path}\n${url}`}>
        <bdi>{display_name}</bdi>
      </Text>
    )
  }
  return (
    <AnchorLink
      to="/models/$id"
      params={{ id: model_id }}
      search={{}}
      size="sm"
      fw={600}
      c="inherit"
      title={model_path}
    >
      <bdi>{display_name}</bdi>
    </AnchorLink>
  )
}

function ImportState({ one }: { one: ModelImport }) {
  const { import_state: state, bytes_done, file_size, display_name } = one
  return (
    <div className={classes.state}>
      <Text size="sm" c={state === 'failed' ? 'var(--mantine-color-error)' : 'dimmed'} className={classes.facts}>
        {describeImport(one)}
      </Text>
      {isWaiting(one) && file_size !== null && (
        <Progress
          transitionDuration={0}
          size="sm"
          value={(100 * bytes_done) / file_size}
          color={state === 'running' ? 'yard' : 'gray'}
          aria-label={`Progress of ${display_name}`}
        />
      )}
    </div>
  )
}

function Actions({ one }: { one: ModelImport }) {
  const { may, mayChange } = usePermissions()
  const [isBusy, setBusy] = useState(false)
  const run = (change: () => Promise<void>) => {
    setBusy(true)
    void change().finally(() => setBusy(false))
  }
  if (one.import_state === 'done' || !may('imports_change') || !mayChange(one)) return <span />
  const mayRetry = !isWaiting(one) || one.retry_at !== null
  return (
    <Group className={classes.next ?? ''} gap={4} wrap="nowrap" justify="flex-end">
      {mayRetry && (
        <Button
          variant="default"
          size="compact-sm"
          loading={isBusy}
          aria-label={`Retry ${one.display_name}`}
          onClick={() => run(() => retryImport(one))}
        >
          Retry
        </Button>
      )}
      {isWaiting(one) && (
        <ActionIcon
          variant="subtle"
          color="gray"
          disabled={isBusy}
          aria-label={`Cancel ${one.display_name}`}
          onClick={() => run(() => cancelImport(one))}
        >
          <IconX size={18} />
        </ActionIcon>
      )}
    </Group>
  )
}
