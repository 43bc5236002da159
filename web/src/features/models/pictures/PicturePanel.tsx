// The picture of a model on its page: dropped, pasted or chosen by people who may change the model.

import { Button, Group, Loader, Text } from '@mantine/core'
import { IconPhotoPlus, IconTrash } from '@tabler/icons-react'
import { useRef, useState } from 'react'
import { usePermissions } from '@/api/permissions'
import type { Model } from '@/api/types'
import { DropHint } from '@/components/DropHint'
import { ModelPicture } from '@/components/ModelPicture'
import { notify } from '@/components/notify'
import classes from '@/features/models/pictures/pictures.module.css'
import { PICTURE_TYPES, removePreviewWithUndo, setPreviewWithUndo } from '@/features/models/pictures/preview'
import { usePictureInput } from '@/features/models/pictures/usePictureInput'
import { useHasOwnPicture } from '@/features/models/versions/queries'

export function PicturePanel({ model }: { model: Model }) {
  const { mayChange } = usePermissions()
  const mayEdit = mayChange(model) && !model.deleted_at
  const hasOwnPicture = useHasOwnPicture(model)
  const [isBusy, setBusy] = useState(false)
  const run = (work: Promise<void>) => {
    setBusy(true)
    void work.finally(() => setBusy(false))
  }
  const isOver = usePictureInput(
    (picture) => run(setPreviewWithUndo(model, picture)),
    () => notify('Only pictures can be dropped here. Models are uploaded under Uploads.'),
    mayEdit,
  )
  return (
    <section className={classes.panel} aria-label="Picture">
      <div className={classes.frame} data-over={isOver || undefined}>
        <ModelPicture model={model} isEager />
        {isBusy && <Loader className={classes.busy ?? ''} role="status" aria-label="Saving the picture" />}
      </div>
      {isOver && <DropHint>Drop a picture for this model</DropHint>}
      {mayEdit && (
        <Controls
          hasPicture={hasOwnPicture ?? false}
          isBusy={isBusy}
          onPicture={(picture) => run(setPreviewWithUndo(model, picture))}
          onRemove={() => run(removePreviewWithUndo(model))}
        />
      )}
    </section>
  )
}

interface ControlsProps {
  hasPicture: boolean
  isBusy: boolean
  onPicture: (picture: File) => void
  onRemove: () => void
}

function Controls({ hasPicture, isBusy, onPicture, onRemove }: ControlsProps) {
  const input = useRef<HTMLInputElement>(null)
  return (
    <>
      <Group gap="xs">
        <input
          ref={input}
          type="file"
          hidden
          accept={PICTURE_TYPES.join(',')}
          data-testid="picture"
          onChange={({ currentTarget }) => {
            const picture = currentTarget.files?.[0]
            if (picture) onPicture(picture)
            // Allow choosing the same file again.
            currentTarget.value = ''
          }}
        />
        <Button
          variant="default"
          size="compact-sm"
          disabled={isBusy}
          leftSection={<IconPhotoPlus size={16} aria-hidden />}
          onClick={() => input.current?.click()}
        >
          {hasPicture ? 'Replace picture' : 'Add picture'}
        </Button>
        {hasPicture && (
          <Button
            variant="subtle"
            color="gray"
            size="compact-sm"
            disabled={isBusy}
            leftSection={<IconTrash size={16} aria-hidden />}
            onClick={onRemove}
          >
            Remove picture
          </Button>
        )}
      </Group>
      <Text size="xs" c="dimmed" visibleFrom="sm">
        Drop, paste or choose a picture.
      </Text>
    </>
  )
}
