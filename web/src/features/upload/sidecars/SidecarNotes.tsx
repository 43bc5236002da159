// What is uploaded with a file: the picture and the details beside it.

import { ActionIcon, Text } from '@mantine/core'
import { IconX } from '@tabler/icons-react'
import { type ReactNode, useEffect, useState } from 'react'
import { removeDetails, removePicture } from '@/features/upload/engine/draft'
import type { Item } from '@/features/upload/engine/items'
import { isSendable } from '@/features/upload/engine/pictures'
import { PictureThumb } from '@/features/upload/pictures/PictureThumb'
import pictureClasses from '@/features/upload/pictures/pictures.module.css'
import { readSidecarDetails, type SidecarDetails } from '@/features/upload/sidecars/readDetails'
import classes from '@/features/upload/upload.module.css'
import { MAX_PICTURE_BYTES } from '@/generated/formats'

const WORDS_AT_ONCE = 5

export function SidecarNotes({ draft: { id, picture, detailFiles, hash } }: { draft: Item }) {
  return (
    <>
      {picture && <PictureNote id={id} picture={picture} />}
      {detailFiles && <DetailsNote id={id} files={detailFiles} hash={hash} />}
    </>
  )
}

function PictureNote({ id, picture }: { id: number; picture: File }) {
  return (
    <Note removeLabel={`Remove picture ${picture.name}`} onRemove={() => removePicture(id)}>
      <PictureThumb file={picture} />
      <Text size="sm" c="dimmed">
        {isSendable(picture) ? (
          <>
            Picture from <bdi>{picture.name}</bdi>
          </>
        ) : (
          <>
            <bdi>{picture.name}</bdi> {describeSize(picture)}
          </>
        )}
      </Text>
    </Note>
  )
}

function describeSize({ size }: File): string {
  return size === 0
    ? 'is empty and will not be sent.'
    : `will not be sent: a picture has at most ${MAX_PICTURE_BYTES / 2 ** 20} MiB.`
}

interface DetailsNoteProps {
  id: number
  files: File[]
  hash: string | undefined
}

function DetailsNote({ id, files, hash }: DetailsNoteProps) {
  const found = useDetails(files, hash)
  if (found === undefined) return null
  const names = files.map(({ name }) => name).join(', ')
  return (
    <Note removeLabel={`Remove details ${names}`} onRemove={() => removeDetails(id)}>
      <Text size="sm" c="dimmed" lineClamp={2} className={pictureClasses.names ?? ''}>
        {found ? (
          <>
            {describeDetails(found)} from <bdi>{found.name}</bdi>
          </>
        ) : (
          <>
            <bdi>{names}</bdi> will not be used: no base model or trigger words for this file
          </>
        )}
      </Text>
    </Note>
  )
}

/** Read what the files say of the model file; null if nothing, undefined until they are read. */
function useDetails(files: File[], hash: string | undefined): SidecarDetails | null | undefined {
  const [found, setFound] = useState<SidecarDetails | null>()
  useEffect(() => {
    let isGone = false
    void readSidecarDetails(files, hash).then((details) => {
      if (!isGone) setFound(details ?? null)
    })
    return () => {
      isGone = true
    }
  }, [files, hash])
  return found
}

function describeDetails({ baseModel, triggerWords, license, author }: SidecarDetails): string {
  const more = triggerWords.length - WORDS_AT_ONCE
  const words = triggerWords.slice(0, WORDS_AT_ONCE).join(', ') + (more > 0 ? ` and ${more} more` : '')
  const named = [
    baseModel && `base model ${baseModel}`,
    words && `trigger words ${words}`,
    author && `author ${author}`,
    license && `licence ${license}`,
  ]
  const parts = named.filter(Boolean).join(', ')
  return parts.charAt(0).toUpperCase() + parts.slice(1)
}

interface NoteProps {
  removeLabel: string
  onRemove: () => void
  children: ReactNode
}

function Note({ removeLabel, onRemove, children }: NoteProps) {
  return (
    <div className={`${classes.wide} ${pictureClasses.note}`}>
      {children}
      <ActionIcon variant="subtle" color="gray" aria-label={removeLabel} onClick={onRemove}>
        <IconX size={16} />
      </ActionIcon>
    </div>
  )
}
