// Says which files of a drop or selection are not added, and why.

import { Alert, Text } from '@mantine/core'
import { formatCount } from '@/components/format'
import type { LeftOut } from '@/features/upload/engine/leftOut'
import { EXTENSIONS } from '@/generated/formats'

const NAMES_AT_ONCE = 5

interface LeftOutNoticesProps {
  leftOut: LeftOut
  onClose: () => void
}

export function LeftOutNotices({ leftOut, onClose }: LeftOutNoticesProps) {
  const { isPartial, hasPictures, skipped, pictures } = leftOut
  const count = [...skipped.values()].reduce((sum, one) => sum + one, 0)
  if (count + pictures.length === 0) return null
  const what = hasPictures ? 'not models or pictures' : 'not models'
  const title = isPartial ? `${formatCount(count, 'file')} skipped: ${what}` : 'No models found in your selection'
  return (
    <Alert
      color={isPartial ? 'gray' : 'yellow'}
      title={count > 0 && title}
      withCloseButton
      onClose={onClose}
      closeButtonLabel="Close"
    >
      {count > 0 && (
        <Text size="sm">
          {[...skipped].map(([why, number]) => `${number.toLocaleString('en')} ${why}`).join(', ')}. Supported
          extensions: {EXTENSIONS.join(' ')}
        </Text>
      )}
      {pictures.length > 0 && <Text size="sm">{describePictures(pictures)}</Text>}
    </Alert>
  )
}

function describePictures(names: readonly string[]): string {
  const belong = names.length === 1 ? 'belongs to no model' : 'belong to no model'
  const more = names.length - NAMES_AT_ONCE
  const listed = names.slice(0, NAMES_AT_ONCE).join(', ') + (more > 0 ? ` and ${more.toLocaleString('en')} more` : '')
  return `${formatCount(names.length, 'picture')} ${belong} here and will not be uploaded: ${listed}`
}
