// The versions of a model in the trash, loaded when they are asked for.

import { Button, Loader, Text } from '@mantine/core'
import { IconArrowBackUp, IconChevronDown, IconChevronRight } from '@tabler/icons-react'
import { useState } from 'react'
import type { Model, ModelVersion } from '@/api/types'
import boxes from '@/components/boxedList.module.css'
import { formatDateTime } from '@/components/format'
import { LoadError } from '@/components/placeholders'
import { restoreVersionWithUndo, runVersionAction } from '@/features/models/versions/actions'
import { MoreVersions } from '@/features/models/versions/MoreVersions'
import { useVersionPages } from '@/features/models/versions/queries'
import { VersionFacts, VersionText } from '@/features/models/versions/VersionRow'
import classes from '@/features/models/versions/versions.module.css'

export function DeletedVersions({ model }: { model: Model }) {
  const [isOpen, setOpen] = useState(false)
  const Icon = isOpen ? IconChevronDown : IconChevronRight
  return (
    <>
      <Button
        variant="subtle"
        color="gray"
        size="compact-sm"
        mt="xs"
        aria-expanded={isOpen}
        leftSection={<Icon size={16} aria-hidden />}
        onClick={() => setOpen(!isOpen)}
      >
        Versions in the trash
      </Button>
      {isOpen && <DeletedList model={model} />}
    </>
  )
}

function DeletedList({ model }: { model: Model }) {
  const pages = useVersionPages(model.id, true)
  if (pages.isPending) return <Loader size="sm" role="status" aria-label="Loading the deleted versions" />
  if (pages.isError && !pages.data) return <LoadError error={pages.error} onRetry={() => void pages.refetch()} />
  if (pages.data?.length === 0) {
    return (
      <Text size="sm" c="dimmed">
        No versions in the trash.
      </Text>
    )
  }
  return (
    <>
      <ul className={boxes.list} aria-label="Versions in the trash">
        {pages.data?.map((version) => (
          <DeletedRow key={version.version} model={model} version={version} />
        ))}
      </ul>
      <MoreVersions pages={pages} />
    </>
  )
}

function DeletedRow({ model, version }: { model: Model; version: ModelVersion }) {
  const [isBusy, setBusy] = useState(false)
  const onRestore = async () => {
    setBusy(true)
    await runVersionAction(() => restoreVersionWithUndo(model, version))
    setBusy(false)
  }
  return (
    <li className={classes.version} aria-label={`Version ${version.version}`}>
      <div className={classes.line}>
        <VersionFacts version={version} />
        <Button
          variant="default"
          size="compact-sm"
          loading={isBusy}
          leftSection={<IconArrowBackUp size={16} aria-hidden />}
          aria-label={`Restore version ${version.version}`}
          onClick={() => void onRestore()}
        >
          Restore
        </Button>
      </div>
      <VersionText version={version} />
      {version.restorable_until && (
        <Text size="sm" c="dimmed">
          Restorable until {formatDateTime(version.restorable_until)}
        </Text>
      )}
    </li>
  )
}
