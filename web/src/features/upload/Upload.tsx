// The upload page: files to upload, running uploads, and unfinished uploads of earlier visits.

import { Stack, Text } from '@mantine/core'
import { getRouteApi } from '@tanstack/react-router'
import { lazy, Suspense, useEffect, useEffectEvent, useRef, useState } from 'react'
import { usePermissions } from '@/api/permissions'
import { useSession } from '@/api/session'
import { useTeam } from '@/api/useTeam'
import { Heading } from '@/components/Heading'
import { notify, notifyError } from '@/components/notify'
import { Empty, Loading } from '@/components/placeholders'
import { RecentImports } from '@/features/imports/RecentImports'
import { Drafts } from '@/features/upload/Drafts'
import { DropZone } from '@/features/upload/DropZone'
import { takeDroppedFiles } from '@/features/upload/droppedFiles'
import { draft, draftFolder, pairWithDrafts } from '@/features/upload/engine/draft'
import { useUploadItems } from '@/features/upload/engine/items'
import { getLeftOut, type LeftOut } from '@/features/upload/engine/leftOut'
import { selectModels } from '@/features/upload/engine/pickFiles'
import { isPicture } from '@/features/upload/engine/pictures'
import type { PickedFile } from '@/features/upload/engine/readFiles'
import { FolderChoices } from '@/features/upload/folders/FolderChoices'
import { groupFolders, type PickedFolder, splitFolders } from '@/features/upload/folders/pickFolders'
import { LeftOutNotices } from '@/features/upload/LeftOutNotices'
import { PictureOffers } from '@/features/upload/pictures/PictureOffers'
import { RecentUploads } from '@/features/upload/recent/RecentUploads'
import { TargetError, TargetNotice, useTargetModel } from '@/features/upload/TargetModel'
import { UnfinishedUploads } from '@/features/upload/UnfinishedUploads'

const AddFromLink = lazy(() =>
  import('@/features/imports/AddFromLink').then(({ AddFromLink }) => ({ default: AddFromLink })),
)

const route = getRouteApi('/inside/upload')

export function Upload() {
  const { may } = usePermissions()
  return (
    <>
      <Heading title="Uploads">
        <Text size="sm" c="dimmed" visibleFrom="sm">
          You can close this page: what is stored continues to machines.
        </Text>
      </Heading>
      {may('models_upload') ? (
        <UploadView />
      ) : (
        <Empty title="Viewers cannot upload">Ask an admin of the team to make you a member.</Empty>
      )}
    </>
  )
}

function UploadView() {
  const whose = useOwner()
  const items = useUploadItems().filter((one) => one.teamId === whose.teamId)
  const drafts = items.filter(({ stage }) => stage === 'reading' || stage === 'draft')
  const transfers = items.filter((one) => !drafts.includes(one))
  const [leftOut, setLeftOut] = useState<LeftOut>()
  const [folders, setFolders] = useState<PickedFolder[]>([])
  const { pictures, pictureList, setPictures } = usePictures()
  const team = useTeam()
  const { model: modelId, link } = route.useSearch()
  const target = useTargetModel(whose.teamId, modelId)
  const navigate = route.useNavigate()
  const mayImport = usePermissions().may('imports_change')
  const openLinks = () => void navigate({ search: { link: '' }, replace: true })
  const leaveTarget = () => void navigate({ search: {}, replace: true })
  const addFolder = (folder: PickedFolder) => {
    setFolders((others) => others.filter(({ path }) => path !== folder.path))
    draftFolder(folder, whose, target.data).catch(notifyError)
    leaveTarget()
  }
  const addFiles = (files: PickedFile[]) => {
    if (target.data?.is_folder) {
      const [folder, ...others] = groupFolders(files)
      if (folder && others.length === 0) return addFolder(folder)
      return notify('A new version of this model is a folder. Choose one folder, or select “Upload other models”.')
    }
    const split = modelId === undefined ? splitFolders(files) : { folders: [], others: files }
    setFolders((before) => addFolders(before, split.folders))
    if (split.others.length > 0 || files.length === 0) addEachFile(split.others)
  }
  const addEachFile = (files: PickedFile[]) => {
    const found = selectModels(files)
    if (modelId !== undefined && found.models.length > 1) {
      return notify('A new version is one file. Choose one, or select “Upload other models”.')
    }
    draft(found.models, whose, target.data).catch(notifyError)
    // Those that are offered already may belong to a file that comes after them.
    const before = pictureList.current
    const alone = pairWithDrafts(mergeFiles(before, found.sidecars), whose)
    setLeftOut(getLeftOut(found, alone))
    // Among models, other pictures are those that a folder of ComfyUI has generated.
    const isOffered = (one: PickedFile) => found.models.length === 0 || before.includes(one)
    setPictures(alone.filter((one) => isPicture(one.relativePath) && isOffered(one)))
    if (found.models.length > 0) leaveTarget()
  }
  const addDroppedFiles = useEffectEvent(() => {
    const files = takeDroppedFiles()
    if (files.length > 0) addFiles(files)
  })
  useEffect(() => addDroppedFiles(), [])
  if (modelId !== undefined && !target.data) {
    return target.isError ? (
      <TargetError error={target.error} onLeave={leaveTarget} />
    ) : (
      <Loading label="Loading the model" />
    )
  }
  return (
    <Stack gap="lg">
      {target.data && <TargetNotice model={target.data} onLeave={leaveTarget} />}
      <DropZone
        isSmall={items.length > 0 || target.data !== undefined}
        target={target.data}
        onFiles={addFiles}
        onAddFromLink={mayImport && !target.data ? openLinks : undefined}
      />
      {mayImport && (
        <Suspense>
          <AddFromLink link={link ?? ''} isOpen={link !== undefined} onClose={leaveTarget} />
        </Suspense>
      )}
      <FolderChoices
        folders={folders}
        onFolder={addFolder}
        onFiles={(folder) => {
          setFolders(folders.filter((one) => one !== folder))
          addEachFile(folder.picked)
        }}
      />
      {leftOut && <LeftOutNotices leftOut={leftOut} onClose={() => setLeftOut(undefined)} />}
      {pictures.length > 0 && (
        <PictureOffers teamId={whose.teamId} pictures={pictures} onClose={() => setPictures([])} />
      )}
      {drafts.length > 0 && <Drafts drafts={drafts} items={items} team={team.data} />}
      <RecentImports />
      <RecentUploads whose={whose} items={transfers} />
      <UnfinishedUploads whose={whose} items={items} />
    </Stack>
  )
}

/**
 * Keep the pictures that belong to none of the files.
 *
 * A drop is added once its folders are read, maybe by a callback of an earlier render: it takes the list from
 * `pictureList`, which has what was added since.
 */
function usePictures() {
  const [pictures, showPictures] = useState<PickedFile[]>([])
  const pictureList = useRef<PickedFile[]>(pictures)
  const setPictures = (files: PickedFile[]) => {
    pictureList.current = files
    showPictures(files)
  }
  return { pictures, pictureList, setPictures }
}

/** Return the folders of both lists; a newer one takes the place of the one with its path. */
function addFolders(folders: PickedFolder[], newer: PickedFolder[]): PickedFolder[] {
  const paths = new Set(newer.map(({ path }) => path))
  return [...folders.filter(({ path }) => !paths.has(path)), ...newer]
}

/** Return the files of both lists; a newer one takes the place of the one with its path. */
function mergeFiles(files: PickedFile[], newer: PickedFile[]): PickedFile[] {
  const paths = new Set(newer.map(({ relativePath }) => relativePath))
  return [...files.filter(({ relativePath }) => !paths.has(relativePath)), ...newer]
}

function useOwner() {
  const session = useSession()
  if (session.state !== 'signed-in') return { teamId: '', userId: '' }
  return { teamId: session.team?.id ?? '', userId: session.me.id }
}
