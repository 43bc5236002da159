// Check a workflow: which models ComfyUI workflows need, which of them the team has, and where they can run.

import { Stack, Text } from '@mantine/core'
import { IconFile, IconSchema } from '@tabler/icons-react'
import { formatCount } from '@/components/format'
import { Heading } from '@/components/Heading'
import { notify } from '@/components/notify'
import { DropFrame } from '@/features/upload/DropFrame'
import type { PickedFile } from '@/features/upload/engine/readFiles'
import { FilePicker } from '@/features/upload/FilePicker'
import { CheckedFile } from '@/features/workflows/CheckedFile'
import { MAX_MEBIBYTES } from '@/features/workflows/checkWorkflow'
import { addWorkflowFiles, MAX_FILES, useWorkflowFiles } from '@/features/workflows/workflowFiles'

/** What the dialog for files shows; the registry decides by content. */
const EXTENSIONS = [
  ...['.json', '.png', '.webp', '.avif', '.svg', '.flac', '.ogg', '.oga', '.opus', '.mp3'],
  ...['.mp4', '.mov', '.webm', '.glb', '.latent'],
]

export function Workflows() {
  const files = useWorkflowFiles()
  const isEmpty = files.length === 0
  return (
    <>
      <Heading title="Check a workflow" />
      <Stack gap="lg">
        <DropFrame
          label="Add workflows"
          title="Drop workflows here, or pictures, videos and sounds in which ComfyUI saved one"
          hint="Drop workflows to check them"
          icon={isEmpty && <IconSchema size={40} stroke={1.25} aria-hidden />}
          onFiles={addFiles}
        >
          {isEmpty && (
            <Text size="sm" c="dimmed" maw={560}>
              The check says which models a workflow needs, which of them the team has, and on which machines it can run
              now. JSON, PNG, WebP, AVIF, FLAC, Ogg, MP3 and SVG, up to {MAX_MEBIBYTES} MiB each. Nothing is stored.
            </Text>
          )}
          <FilePicker label="Choose files" icon={IconFile} accept={EXTENSIONS} testId="workflows" onFiles={addFiles} />
        </DropFrame>
        {files.map((file) => (
          <CheckedFile key={file.id} file={file} />
        ))}
      </Stack>
    </>
  )
}

function addFiles(picked: PickedFile[]): void {
  const omitted = addWorkflowFiles(picked.map(({ file }) => file))
  if (omitted > 0) notify(`${formatCount(omitted, 'file was', 'files were')} left out: at most ${MAX_FILES} at a time.`)
}
