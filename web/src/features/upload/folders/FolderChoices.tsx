// Asks whether a dropped folder is one model, or each file in it is one.

import { Alert, Button, Group, Stack, Text } from '@mantine/core'
import { formatBytes, formatCount } from '@/components/format'
import type { PickedFolder } from '@/features/upload/folders/pickFolders'

interface FolderChoicesProps {
  folders: PickedFolder[]
  onFolder: (folder: PickedFolder) => void
  onFiles: (folder: PickedFolder) => void
}

export function FolderChoices({ folders, onFolder, onFiles }: FolderChoicesProps) {
  return folders.map((folder) => {
    const size = folder.files.reduce((sum, { file }) => sum + file.size, 0)
    return (
      <Alert key={folder.path} color="yard" role="region" title={`Is “${folder.path}” one model?`}>
        <Stack gap="xs" align="flex-start">
          <Text size="sm">
            It has {formatCount(folder.files.length, 'file')} with {formatBytes(size)}. As one model, all of them are
            stored, replaced and downloaded together, with their configuration and tokenizer.
          </Text>
          <Group gap="xs">
            <Button size="compact-sm" onClick={() => onFolder(folder)}>
              One model (folder)
            </Button>
            <Button size="compact-sm" variant="default" onClick={() => onFiles(folder)}>
              Each file a model
            </Button>
          </Group>
        </Stack>
      </Alert>
    )
  })
}
