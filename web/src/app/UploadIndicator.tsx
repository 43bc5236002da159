// Upload progress in the header of every view, also announced to screen readers.

import { Button, VisuallyHidden } from '@mantine/core'
import { IconUpload } from '@tabler/icons-react'
import { Link } from '@tanstack/react-router'
import { useSession } from '@/api/session'
import { formatCount } from '@/components/format'
import { type Item, isActive, useUploadItems } from '@/features/upload/engine/items'
import { sumProgress, type UploadTotals } from '@/features/upload/engine/uploadTotals'

export function UploadIndicator() {
  const session = useSession()
  const teamId = session.state === 'signed-in' ? session.team?.id : undefined
  // The linked view shows one team's uploads; uploads of another team are shown in that team.
  const items = useUploadItems().filter((one) => one.teamId === teamId)
  const total = sumProgress(items)
  const attentionCount = items.filter(({ stage }) => stage === 'failed' || stage === 'conflict').length
  const isShown = attentionCount > 0 || items.some((one) => isActive(one) || one.stage === 'paused')
  const percent = `${Math.floor(total.percent)} %`
  return (
    <>
      <VisuallyHidden role="status" aria-label="Uploads">
        {describeProgress(total, attentionCount, items)}
      </VisuallyHidden>
      {isShown && (
        <Button
          component={Link}
          to="/upload"
          variant="light"
          size="compact-md"
          color={attentionCount > 0 ? 'red' : 'yard'}
          leftSection={<IconUpload size={16} />}
          aria-label={attentionCount > 0 ? `Uploads: ${describeAttention(attentionCount)}` : `Uploads: ${percent}`}
        >
          {attentionCount > 0 ? attentionCount : percent}
        </Button>
      )}
    </>
  )
}

function describeAttention(files: number): string {
  return `${formatCount(files, 'file needs', 'files need')} attention`
}

/** In steps of 10 percent, so that screen readers do not announce every change. */
function describeProgress(total: UploadTotals, wanting: number, items: readonly Item[]): string {
  if (!items.some(({ stage }) => stage !== 'reading' && stage !== 'draft')) return ''
  const step = Math.floor(total.percent / 10) * 10
  const need = wanting > 0 ? ` ${describeAttention(wanting)}.` : ''
  return `${total.done} of ${formatCount(total.count, 'file')} uploaded, ${step} percent.${need}`
}
