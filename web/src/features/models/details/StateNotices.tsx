// Reasons why machines do not get a model, and what to do.

import { Alert, Stack } from '@mantine/core'
import { IconAlertTriangle, IconClock, IconPlayerPause, IconTransform } from '@tabler/icons-react'
import { usePermissions } from '@/api/permissions'
import type { Model } from '@/api/types'
import { ConvertButton } from '@/features/models/details/ConvertButton'
import { isDamaged } from '@/features/models/refusals'
import { type KeptFile, useKeptFile } from '@/features/models/useKeptFile'

export function StateNotices({ model }: { model: Model }) {
  return (
    <>
      {model.verification === 'failed' && <FailureNotice model={model} />}
      <NewerVersionNotice model={model} />
      {model.verification === 'pending' && <PendingNotice reason={model.verification_error} />}
      {model.model_status === 'disabled' && (
        <Alert color="gray" icon={<IconPlayerPause aria-hidden />} title="Disabled">
          Machines remove a disabled model, and the registry keeps it. Enable the model to restore it on its machines.
        </Alert>
      )}
    </>
  )
}

function PendingNotice({ reason }: { reason: string | null }) {
  const title = reason ? 'Not verified yet' : 'Verification in progress'
  return (
    <Alert color={reason ? 'orange' : 'yellow'} icon={<IconClock aria-hidden />} title={title}>
      {reason ? <bdi>{reason} </bdi> : null}
      After the file is verified and inspected, the model can be downloaded and machines fetch it.
    </Alert>
  )
}

const CONVERT = 'convert it to a .safetensors model with equal tensors beside it.'
const UPLOAD_OR = 'upload the file again at this path, or '
/** The text names the upload only to those whose upload the registry takes. */
const KEPT_NOTICES: Record<KeptFile, { title: string; explain: (mayUpload: boolean) => string }> = {
  converts: {
    title: 'Kept to be converted',
    explain: () => `The team keeps such files only to convert them, so machines do not get it: ${CONVERT}`,
  },
  accepts: {
    title: 'Not accepted when it was checked',
    explain: (mayUpload) =>
      `The team kept such files only to convert them then, so machines do not get it. Now the team accepts them: ${mayUpload ? UPLOAD_OR : ''}${CONVERT}`,
  },
  refuses: {
    title: 'Not accepted when it was checked',
    explain: () =>
      `The team kept such files only to convert them then, so machines do not get it. Now the team refuses pickle files: ${CONVERT}`,
  },
}

function KeptFileNotice({ model, kept }: { model: Model; kept: KeptFile }) {
  const { may, mayChange } = usePermissions()
  const { title, explain } = KEPT_NOTICES[kept]
  return (
    <Alert color="yellow" icon={<IconTransform aria-hidden />} title={title}>
      <Stack gap="xs" align="flex-start">
        <span>This pickle file holds tensors only. {explain(may('models_upload') && mayChange(model))}</span>
        {may('imports_change') && !model.deleted_at && <ConvertButton model={model} />}
      </Stack>
    </Alert>
  )
}

function FailureNotice({ model }: { model: Model }) {
  const kept = useKeptFile(model)
  if (kept) return <KeptFileNotice model={model} kept={kept} />
  const wasVerified = isDamaged(model)
  return (
    <Alert
      color="red"
      icon={<IconAlertTriangle aria-hidden />}
      title={wasVerified ? 'The stored file is damaged' : 'Verification failed'}
    >
      <bdi>{model.verification_error}</bdi>{' '}
      {wasVerified
        ? 'The model cannot be downloaded. Machines that have a correct copy keep it.'
        : 'No machine gets the model, and it cannot be downloaded.'}{' '}
      <UploadRemedy model={model} />
    </Alert>
  )
}

/** How to get a correct file into the registry: by the button of the versions, for those who have it. */
function UploadRemedy({ model }: { model: Model }) {
  const { may, mayChange } = usePermissions()
  if (model.deleted_at) return null
  if (may('models_upload') && mayChange(model)) return 'Upload the correct file below: “Upload new version”.'
  if (may('models_upload') && isDamaged(model))
    return `Upload the same ${model.file_count ? 'folder' : 'file'} at this path: that repairs the model.`
  return 'Ask an admin or the person who registered it to upload the correct file.'
}

/** What happens to a version that is newer than the one that the record shows. */
function NewerVersionNotice({ model }: { model: Model }) {
  const { version, pending_version: pending, verification } = model
  if (!pending || pending.version === version) return null
  const isCurrentIntact = verification === 'verified'
  if (pending.verification === 'failed') {
    return (
      <Alert
        color="red"
        icon={<IconAlertTriangle aria-hidden />}
        title={`Version ${pending.version} failed verification`}
      >
        <bdi>{pending.verification_error}</bdi>{' '}
        {isCurrentIntact ? (
          <>
            Machines keep version {version}. <UploadRemedy model={model} />
          </>
        ) : null}
      </Alert>
    )
  }
  const reason = pending.verification_error
  const title = `Version ${pending.version} is ${reason ? 'not verified yet' : 'being verified'}`
  return (
    <Alert color={reason ? 'orange' : 'yellow'} icon={<IconClock aria-hidden />} title={title}>
      {reason ? <bdi>{reason} </bdi> : null}
      {isCurrentIntact
        ? `Machines keep version ${version} until it is verified.`
        : 'Machines get it once it is verified.'}
    </Alert>
  )
}
