// A file on its way into the registry.

import { ActionIcon, Button, Group, Text } from '@mantine/core'
import { IconPlayerPause, IconPlayerPlay, IconX } from '@tabler/icons-react'
import { memo } from 'react'
import { formatBytes } from '@/components/format'
import { AnchorLink } from '@/components/links'
import { ModelPicture } from '@/components/ModelPicture'
import { formatModelType } from '@/components/modelType'
import { notifyWithUndo } from '@/components/notify'
import { type Item, isActive } from '@/features/upload/engine/items'
import { cancel, pause, resume, resumeAsNextVersion, resumeAt } from '@/features/upload/engine/queue'
import { getTypeOfPath } from '@/features/upload/engine/suggestPath'
import { PathConflict } from '@/features/upload/PathConflict'
import { PictureThumb } from '@/features/upload/pictures/PictureThumb'
import classes from '@/features/upload/recent/recent.module.css'
import { TransferState } from '@/features/upload/recent/TransferState'

export const TransferRow = memo(function TransferRow({ one }: { one: Item }) {
  return (
    <li className={classes.row} aria-label={one.file.name}>
      <span className={classes.picture}>
        <FilePicture one={one} />
      </span>
      <span className={classes.names}>
        <FileName one={one} />
        <Text size="xs" c="dimmed">
          {formatModelType(getTypeOfPath(one.path))}
        </Text>
      </span>
      <span className={classes.size}>{formatBytes(one.file.size)}</span>
      <TransferState one={one} />
      <Actions one={one} />
      {one.stage === 'conflict' && one.existing && (
        <div className={classes.wide}>
          <PathConflict
            one={one}
            holder={one.existing}
            onFree={(path) => resumeAt(one.id, path)}
            onNextVersion={() => resumeAsNextVersion(one.id)}
          />
        </div>
      )}
    </li>
  )
})

function FilePicture({ one: { picture, file, path } }: { one: Item }) {
  if (picture) return <PictureThumb file={picture} />
  return <ModelPicture model={{ display_name: file.name, model_type: getTypeOfPath(path) }} isSmall />
}

/** The name leads to the model, if the file is one already. */
function FileName({ one: { file, path, modelId } }: { one: Item }) {
  if (!modelId) {
    return (
      <Text size="sm" fw={600} title={path}>
        <bdi>{file.name}</bdi>
      </Text>
    )
  }
  return (
    <AnchorLink to="/models/$id" params={{ id: modelId }} search={{}} size="sm" fw={600} c="inherit" title={path}>
      <bdi>{file.name}</bdi>
    </AnchorLink>
  )
}

function Actions({ one: { id, file, stage } }: { one: Item }) {
  const onCancel = () => {
    const cancelled = cancel(id)
    if (cancelled) notifyWithUndo(`“${file.name}” was cancelled`, cancelled.undo)
  }
  return (
    <Group className={classes.next ?? ''} gap={4} wrap="nowrap" justify="flex-end">
      {isActive({ stage } as Item) && (
        <ActionIcon variant="subtle" color="gray" aria-label={`Pause ${file.name}`} onClick={() => pause([id])}>
          <IconPlayerPause size={18} />
        </ActionIcon>
      )}
      {stage === 'paused' && (
        <ActionIcon variant="subtle" color="gray" aria-label={`Resume ${file.name}`} onClick={() => resume([id])}>
          <IconPlayerPlay size={18} />
        </ActionIcon>
      )}
      {stage === 'failed' && (
        <Button variant="default" size="compact-sm" onClick={() => resume([id])}>
          Retry
        </Button>
      )}
      {stage !== 'verifying' && stage !== 'done' && (
        <ActionIcon variant="subtle" color="gray" aria-label={`Cancel ${file.name}`} onClick={onCancel}>
          <IconX size={18} />
        </ActionIcon>
      )}
    </Group>
  )
}
