// The upload page: files to upload, running uploads, and unfinished uploads of earlier visits.

import { Alert, Stack, Text } from '@mantine/core'
import { getRouteApi } from '@tanstack/react-router'
import { useState } from 'react'
import { usePermissions } from '@/api/permissions'
import { useSession } from '@/api/session'
import { useTeam } from '@/api/useTeam'
import { formatCount } from '@/components/format'
import { Heading } from '@/components/Heading'
import { notify, notifyError } from '@/components/notify'
import { Empty, Loading } from '@/components/placeholders'
import { Drafts } from '@/features/upload/Drafts'
import { DropZone } from '@/features/upload/DropZone'
import { draft } from '@/features/upload/engine/draft'
import { useUploadItems } from '@/features/upload/engine/items'
import { type PickedFile, type Selection, selectModels } from '@/features/upload/engine/pickFiles'
import { TargetError, TargetNotice, useTargetModel } from '@/features/upload/TargetModel'
import { Transfers } from '@/features/upload/Transfers'
import { UnfinishedUploads } from '@/features/upload/UnfinishedUploads'
import { EXTENSIONS } from '@/generated/formats'

const route = getRouteApi('/inside/upload')

export function Upload() {
  const { may } = usePermissions()
  return (
    <>
      <Heading title="Upload" />
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
  const [selection, setSelection] = useState<Selection>()
  const team = useTeam()
  const { model: modelId } = route.useSearch()
  const target = useTargetModel(whose.teamId, modelId)
  const navigate = route.useNavigate()
  const leaveTarget = () => void navigate({ search: {}, replace: true })
  const addFiles = (files: PickedFile[]) => {
    const found = selectModels(files)
    setSelection(found)
    if (modelId !== undefined && found.models.length > 1) {
      return notify('A new version is one file. Choose one, or select “Upload other models”.')
    }
    draft(found.models, whose, target.data).catch(notifyError)
    if (found.models.length > 0) leaveTarget()
  }
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
      <DropZone isSmall={items.length > 0 || target.data !== undefined} onFiles={addFiles} />
      {selection && <SkippedFiles selection={selection} onClose={() => setSelection(undefined)} />}
      {drafts.length > 0 && <Drafts drafts={drafts} items={items} team={team.data} />}
      {transfers.length > 0 && <Transfers items={transfers} />}
      <UnfinishedUploads whose={whose} items={items} />
    </Stack>
  )
}

function useOwner() {
  const session = useSession()
  if (session.state !== 'signed-in') return { teamId: '', userId: '' }
  return { teamId: session.team?.id ?? '', userId: session.me.id }
}

function SkippedFiles({ selection: { models, skipped }, onClose }: { selection: Selection; onClose: () => void }) {
  const left = [...skipped.values()].reduce((sum, one) => sum + one, 0)
  if (left === 0) return null
  const title =
    models.length > 0 ? `${formatCount(left, 'file')} skipped: not models` : 'No models found in your selection'
  return (
    <Alert
      color={models.length > 0 ? 'gray' : 'yellow'}
      title={title}
      withCloseButton
      onClose={onClose}
      closeButtonLabel="Close"
    >
      <Text size="sm">
        {[...skipped].map(([why, number]) => `${number.toLocaleString('en')} ${why}`).join(', ')}. Supported extensions:{' '}
        {EXTENSIONS.join(' ')}
      </Text>
    </Alert>
  )
}
