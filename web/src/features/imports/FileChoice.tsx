// The check boxes of a draft's files.

import { Checkbox, Stack } from '@mantine/core'
import type { SourceFile } from '@/api/types'
import { describeFile } from '@/features/imports/describeImport'
import { buildFilePath } from '@/features/imports/draftFields'
import classes from '@/features/imports/imports.module.css'

interface FileChoiceProps {
  files: SourceFile[]
  /** The addresses of the chosen files. */
  chosen: string[]
  onChoose: (urls: string[]) => void
}

export function FileChoice({ files, chosen, onChoose }: FileChoiceProps) {
  const areAllChosen = chosen.length === files.length
  return (
    <Stack gap="xs">
      <Checkbox.Group label="Files" value={chosen} onChange={onChoose}>
        <div className={classes.files}>
          {files.map((file) => (
            <Checkbox
              key={file.url}
              value={file.url}
              label={<bdi>{describeFile(file)}</bdi>}
              description={<bdi>{buildFilePath(file)}</bdi>}
            />
          ))}
        </div>
      </Checkbox.Group>
      <Checkbox
        label={`All ${files.length} files`}
        checked={areAllChosen}
        indeterminate={chosen.length > 0 && !areAllChosen}
        onChange={() => onChoose(areAllChosen ? [] : files.map(({ url }) => url))}
      />
    </Stack>
  )
}
