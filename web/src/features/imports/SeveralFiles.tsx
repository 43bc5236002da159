// The confirmation of several files of a draft, each of which becomes an import.

import { Alert, Button, Group, List, Stack, Text } from '@mantine/core'
import { useMutation } from '@tanstack/react-query'
import { groupByReason } from '@/api/runBatch'
import type { ImportDraft, SourceFile } from '@/api/types'
import { notify } from '@/components/notify'
import { buildFilePath, findSharedPath } from '@/features/imports/draftFields'
import { type RefusedFile, startImports } from '@/features/imports/mutations'

interface SeveralFilesProps {
  draft: ImportDraft
  files: SourceFile[]
  onEnd: (refused: RefusedFile[]) => void
  onClose: () => void
}

export function SeveralFiles({ draft, files, onEnd, onClose }: SeveralFilesProps) {
  const shared = findSharedPath(files)
  const start = useMutation({
    mutationFn: () => startImports(draft, files),
    onSuccess: (refused) => {
      const started = files.length - refused.length
      if (started > 0) notify(`Importing ${started} ${started === 1 ? 'file' : 'files'}`)
      onEnd(refused)
    },
  })
  return (
    <Stack>
      <Text size="sm">
        Each file becomes a model of its own, with the base model, trigger words and license that the source names. To
        change the name or path of a file, import it alone.
      </Text>
      {shared && (
        <Alert color="red" role="alert">
          <Text size="sm">
            Several of these files would be at <bdi>{shared}</bdi>. Import them one by one, each with a path of its own.
          </Text>
        </Alert>
      )}
      <Group justify="flex-end">
        <Button variant="default" onClick={onClose}>
          Cancel
        </Button>
        <Button loading={start.isPending} disabled={shared !== undefined} onClick={() => start.mutate()}>
          Import {files.length} files
        </Button>
      </Group>
    </Stack>
  )
}

/** Says which files were not imported, and why. */
export function RefusedFiles({ refused }: { refused: RefusedFile[] }) {
  return (
    <Alert
      color="red"
      title={refused.length === 1 ? '1 file was not imported' : `${refused.length} files were not imported`}
      role="alert"
    >
      <List size="sm">
        {[...groupByReason(refused)].map(([reason, files]) => (
          <List.Item key={reason}>
            <bdi>{files.map(({ item }) => buildFilePath(item)).join(', ')}</bdi>: {reason}
          </List.Item>
        ))}
      </List>
    </Alert>
  )
}
