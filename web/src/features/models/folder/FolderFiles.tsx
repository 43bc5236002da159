// The files of a model that is a folder, each with its size and a download.

import { ActionIcon, Button, Group, Loader, Text } from '@mantine/core'
import { IconDownload } from '@tabler/icons-react'
import { usePermissions } from '@/api/permissions'
import type { Model } from '@/api/types'
import boxes from '@/components/boxedList.module.css'
import { formatBytes } from '@/components/format'
import { describeModelSize } from '@/components/modelSize'
import { notifyError } from '@/components/notify'
import { LoadError } from '@/components/placeholders'
import { Section } from '@/features/models/details/Section'
import classes from '@/features/models/folder/folder.module.css'
import { downloadFile, type ListedFile, useFolderFiles } from '@/features/models/folder/queries'

export function FolderFiles({ model }: { model: Model }) {
  const { may } = usePermissions()
  if (!model.is_folder || !may('models_download')) return null
  return (
    <Section title="Files" note={describeModelSize(model)}>
      {model.verification === 'verified' ? (
        <FileList model={model} />
      ) : (
        <Text size="sm" c="dimmed">
          The files are listed once all of them are verified.
        </Text>
      )}
    </Section>
  )
}

function FileList({ model }: { model: Model }) {
  const files = useFolderFiles(model)
  if (files.isPending) return <Loader size="sm" role="status" aria-label="Loading the files" />
  if (!files.data) return <LoadError error={files.error} onRetry={() => void files.refetch()} />
  const left = (model.file_count ?? 0) - files.data.length
  return (
    <>
      <ul className={boxes.list} aria-label="Files">
        {files.data.map((file) => (
          <FileRow key={file.path} model={model} file={file} />
        ))}
      </ul>
      {files.hasNextPage && (
        <Group gap="xs" mt="xs">
          <Button
            variant="default"
            size="compact-sm"
            loading={files.isFetchingNextPage}
            onClick={() => void files.fetchNextPage()}
          >
            {files.isFetchNextPageError ? 'Retry' : `Show more files (${left.toLocaleString('en')} left)`}
          </Button>
          {files.isFetchNextPageError && (
            <Text size="sm" role="alert">
              More files could not be loaded.
            </Text>
          )}
        </Group>
      )}
    </>
  )
}

function FileRow({ model, file }: { model: Model; file: ListedFile }) {
  return (
    <li className={classes.file}>
      <bdi className={classes.path}>{file.path}</bdi>
      <span className={classes.size}>{formatBytes(file.file_size)}</span>
      <ActionIcon
        variant="subtle"
        color="gray"
        aria-label={`Download ${file.path}`}
        title="Download"
        onClick={() => void downloadFile(model, file).catch(notifyError)}
      >
        <IconDownload size={16} aria-hidden />
      </ActionIcon>
    </li>
  )
}
