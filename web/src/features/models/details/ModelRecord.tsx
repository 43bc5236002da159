// A model in the drawer beside the list: the sections of its page in one column.

import { Group, Stack, Text } from '@mantine/core'
import { IconArrowsMaximize } from '@tabler/icons-react'
import { usePermissions } from '@/api/permissions'
import { CopyButton } from '@/components/CopyButton'
import { ButtonLink } from '@/components/links'
import { describeModelSize } from '@/components/modelSize'
import { Actions, MoreActions } from '@/features/models/details/Actions'
import { Hashes } from '@/features/models/details/Hashes'
import { ModelHistory } from '@/features/models/details/ModelHistory'
import { StateNotices } from '@/features/models/details/StateNotices'
import { TrainingTags } from '@/features/models/facts/TrainingTags'
import { UseIt } from '@/features/models/facts/UseIt'
import { WhatItIs } from '@/features/models/facts/WhatItIs'
import { FolderFiles } from '@/features/models/folder/FolderFiles'
import { Status, Verification, VersionMarks } from '@/features/models/ModelState'
import classes from '@/features/models/models.module.css'
import { WhereItIs } from '@/features/models/places/WhereItIs'
import type { ReadModel } from '@/features/models/queries'
import { useModelSearch } from '@/features/models/useModelSearch'
import { Versions } from '@/features/models/versions/Versions'

interface ModelRecordProps {
  read: ReadModel
  /** Whether this is the current record, not a placeholder from a list. */
  isFresh: boolean
  onEdit: () => void
  onClose: () => void
}

export function ModelRecord({ read: { model }, isFresh, onEdit, onClose }: ModelRecordProps) {
  const { may } = usePermissions()
  return (
    <Stack gap="md">
      <Group gap={4} wrap="nowrap" align="flex-start">
        <Text size="sm" c="dimmed" style={{ overflowWrap: 'anywhere' }}>
          <bdi>{model.model_path}</bdi>
        </Text>
        <CopyButton text={model.model_path} what="the path" />
      </Group>
      <Group gap="lg">
        <Verification model={model} />
        <Status model={model} />
        <Text size="sm">{describeModelSize(model)}</Text>
        <div className={classes.heading}>
          <VersionMarks model={model} />
        </div>
      </Group>
      <StateNotices model={model} />
      <Group gap="xs">
        <Actions model={model} />
        <PageLink id={model.id} />
        <MoreActions model={model} isFresh={isFresh} onEdit={onEdit} onDeleted={onClose} />
      </Group>
      <UseIt model={model} />
      <WhereItIs model={model} />
      <FolderFiles model={model} />
      <WhatItIs model={model} />
      <TrainingTags model={model} />
      <Versions model={model} />
      <Hashes model={model} />
      {may('audit_read') && <ModelHistory model={model} />}
    </Stack>
  )
}

/** Opens the page of the model, which steps through the list from which it was opened. */
function PageLink({ id }: { id: string }) {
  const search = useModelSearch()
  return (
    <ButtonLink
      to="/models/$id"
      params={{ id }}
      search={search}
      variant="default"
      leftSection={<IconArrowsMaximize size={16} aria-hidden />}
    >
      Open page
    </ButtonLink>
  )
}
