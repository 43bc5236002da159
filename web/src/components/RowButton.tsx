// A button for an action on one row of a table.

import { Button } from '@mantine/core'

interface RowButtonProps {
  verb: string
  /** The whole label for screen readers, which names the row. */
  label: string
  isBusy?: boolean
  onClick: () => void
}

export function RowButton({ verb, label, isBusy = false, onClick }: RowButtonProps) {
  return (
    <Button size="compact-sm" variant="subtle" color="gray" aria-label={label} loading={isBusy} onClick={onClick}>
      {verb}
    </Button>
  )
}
