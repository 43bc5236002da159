// Accepts models and pictures that are dropped anywhere on the view or selected.

import { Button, Group, Text } from '@mantine/core'
import { IconFile, IconFolder, IconLink, IconUpload } from '@tabler/icons-react'
import type { Model } from '@/api/types'
import { DropFrame } from '@/features/upload/DropFrame'
import { PICTURE_EXTENSIONS } from '@/features/upload/engine/pictures'
import type { PickedFile } from '@/features/upload/engine/readFiles'
import { FilePicker } from '@/features/upload/FilePicker'
import { EXTENSIONS } from '@/generated/formats'
import { DETAILS_SUFFIXES } from '@/generated/sidecars'

// A file picker compares the last extension of a name only.
const DETAILS_EXTENSIONS = DETAILS_SUFFIXES.map((suffix) => suffix.slice(suffix.lastIndexOf('.')))

interface DropZoneProps {
  isSmall: boolean
  /** The model of which a file becomes the next version; undefined to add models. */
  target: Model | undefined
  onFiles: (files: PickedFile[]) => void
  /** Undefined if nothing can be added from a link. */
  onAddFromLink?: (() => void) | undefined
}

export function DropZone({ isSmall, target, onFiles, onAddFromLink }: DropZoneProps) {
  return (
    <DropFrame
      label="Add files"
      title={target ? 'Drop the next version here' : 'Drop models, pictures or your whole ComfyUI folder here'}
      icon={!isSmall && <IconUpload size={40} stroke={1.25} aria-hidden />}
      hint={target ? <NextVersionHint model={target} /> : 'Drop models, pictures or folders to add them'}
      onFiles={onFiles}
    >
      {!isSmall && (
        <Text size="sm" c="dimmed" maw={560}>
          Each file gets its type and path from its folder or its content. You can review everything before anything is
          sent. A picture with the name of a model becomes its preview, and base model and trigger words are taken from
          a .civitai.info or .metadata.json file beside it. Files that the registry already has are not sent again.
        </Text>
      )}
      <Group gap="xs" justify="center">
        <FilePicker
          label="Choose files"
          icon={IconFile}
          accept={[...EXTENSIONS, ...PICTURE_EXTENSIONS, ...DETAILS_EXTENSIONS]}
          testId="files"
          onFiles={onFiles}
        />
        <FilePicker label="Choose folder" icon={IconFolder} isFolder testId="folder" onFiles={onFiles} />
        {onAddFromLink && (
          <Button variant="default" leftSection={<IconLink size={16} aria-hidden />} onClick={onAddFromLink}>
            Add from link
          </Button>
        )}
      </Group>
    </DropFrame>
  )
}

function NextVersionHint({ model: { is_folder, display_name } }: { model: Model }) {
  return (
    <>
      Drop a {is_folder ? 'folder' : 'file'} as the next version of <bdi>{display_name}</bdi>
    </>
  )
}
