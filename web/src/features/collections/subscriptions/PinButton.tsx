// Pins a collection: subscribed machines hold its models at exactly its versions. Or unpins it.

import { Button } from '@mantine/core'
import { IconPin, IconPinnedOff } from '@tabler/icons-react'
import type { Collection } from '@/api/types'
import { pinWithUndo } from '@/features/collections/subscriptions/requests'
import { useChange } from '@/features/collections/useChange'

export function PinButton({ collection }: { collection: Collection }) {
  const [isBusy, run] = useChange()
  const { is_pinned: isPinned } = collection
  const Icon = isPinned ? IconPinnedOff : IconPin
  return (
    <Button
      size="compact-sm"
      variant="default"
      loading={isBusy}
      leftSection={<Icon size={14} aria-hidden />}
      onClick={() => run(() => pinWithUndo(collection, !isPinned))}
    >
      {isPinned ? 'Unpin versions' : 'Pin versions'}
    </Button>
  )
}
