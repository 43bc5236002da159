// The versions of a model in its details: the current one first, then from the newest to the oldest.

import { Group, Loader, Text } from '@mantine/core'
import { IconUpload } from '@tabler/icons-react'
import { useState } from 'react'
import { usePermissions } from '@/api/permissions'
import type { Model, ModelVersion } from '@/api/types'
import boxes from '@/components/boxedList.module.css'
import { formatCount } from '@/components/format'
import { ButtonLink } from '@/components/links'
import { LoadError } from '@/components/placeholders'
import { useDrawerDialog } from '@/features/models/details/drawerDialogs'
import { Section } from '@/features/models/details/Section'
import { AllowFileDialog } from '@/features/models/versions/AllowFileDialog'
import { CompareDialog } from '@/features/models/versions/CompareDialog'
import { DeletedVersions } from '@/features/models/versions/DeletedVersions'
import { MoreVersions } from '@/features/models/versions/MoreVersions'
import { NoteDialog } from '@/features/models/versions/NoteDialog'
import { useVersions } from '@/features/models/versions/queries'
import { VersionRow } from '@/features/models/versions/VersionRow'

export function Versions({ model }: { model: Model }) {
  const { may, mayChange } = usePermissions()
  const { pages, list } = useVersions(model)
  const [compared, setCompared] = useState<ModelVersion>()
  const [noted, setNoted] = useState<ModelVersion>()
  const [refused, setRefused] = useState<ModelVersion>()
  useDrawerDialog(compared !== undefined || noted !== undefined || refused !== undefined)
  return (
    <Section title="Versions">
      <Group justify="space-between" gap="xs" mb="xs">
        <Text size="sm" c="dimmed" role="status">
          {formatCount(model.version_count, 'version')}
        </Text>
        {may('models_upload') && mayChange(model) && (
          <ButtonLink
            to="/upload"
            search={{ model: model.id }}
            variant="default"
            size="compact-sm"
            leftSection={<IconUpload size={16} aria-hidden />}
          >
            Upload new version
          </ButtonLink>
        )}
      </Group>
      {pages.isError && !pages.data && <LoadError error={pages.error} onRetry={() => void pages.refetch()} />}
      {pages.isPending && <Loader size="sm" role="status" aria-label="Loading the versions" />}
      {list.length > 0 && (
        <ul className={boxes.list} aria-label="Versions">
          {list.map((version) => (
            <VersionRow
              key={version.version}
              model={model}
              version={version}
              onCompare={list.length > 1 ? () => setCompared(version) : undefined}
              onEditNote={() => setNoted(version)}
              onAllow={() => setRefused(version)}
            />
          ))}
        </ul>
      )}
      <MoreVersions pages={pages} />
      {may('versions_activate') && mayChange(model) && <DeletedVersions model={model} />}
      <CompareDialog chosen={compared} versions={list} onClose={() => setCompared(undefined)} />
      <AllowFileDialog model={model} version={refused} onClose={() => setRefused(undefined)} />
      <NoteDialog model={model} version={noted} onClose={() => setNoted(undefined)} />
    </Section>
  )
}
