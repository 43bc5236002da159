// In the header of every view: how far the uploads are, also in words for those who do not see it.

import { Button, VisuallyHidden } from '@mantine/core'
import { IconUpload } from '@tabler/icons-react'
import { Link } from '@tanstack/react-router'
import { useSession } from '@/api/session'
import { count } from '@/parts/words'
import { type Item, isGoing, useItems } from '@/uploading/state'
import { type Total, totalOf } from '@/uploading/totals'

export function UploadIndicator() {
  const session = useSession()
  const teamId = session.state === 'signed-in' ? session.team?.id : undefined
  // The view that this leads to shows those of one team; what goes on for another is told there.
  const items = useItems().filter((one) => one.teamId === teamId)
  const total = totalOf(items)
  const wanting = items.filter(({ stage }) => stage === 'failed' || stage === 'conflict').length
  const isShown = wanting > 0 || items.some((one) => isGoing(one) || one.stage === 'paused')
  const percent = `${Math.floor(total.percent)} %`
  return (
    <>
      <VisuallyHidden role="status" aria-label="Uploads">
        {inWords(total, wanting, items)}
      </VisuallyHidden>
      {isShown && (
        <Button
          component={Link}
          to="/upload"
          variant="light"
          size="compact-md"
          color={wanting > 0 ? 'red' : 'cyan'}
          leftSection={<IconUpload size={16} />}
          aria-label={wanting > 0 ? `Uploads: ${needYou(wanting)}` : `Uploads: ${percent}`}
        >
          {wanting > 0 ? wanting : percent}
        </Button>
      )}
    </>
  )
}

function needYou(files: number): string {
  return `${count(files, 'file needs', 'files need')} you`
}

/** In steps, or a screen reader would speak without end. */
function inWords(total: Total, wanting: number, items: readonly Item[]): string {
  if (!items.some(({ stage }) => stage !== 'reading' && stage !== 'draft')) return ''
  const step = Math.floor(total.percent / 10) * 10
  const need = wanting > 0 ? ` ${needYou(wanting)}.` : ''
  return `${total.done} of ${count(total.count, 'file')} uploaded, ${step} percent.${need}`
}
