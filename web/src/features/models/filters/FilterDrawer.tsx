// The filters of narrow screens: a drawer from the bottom, whose button says how many models it shows.

import { Button, Drawer, UnstyledButton } from '@mantine/core'
import { formatCount } from '@/components/format'
import classes from '@/features/models/filters/drawer.module.css'
import { FacetRail } from '@/features/models/filters/FacetRail'
import type { OnToggle } from '@/features/models/filters/FacetValues'
import type { Total } from '@/features/models/queries'

interface FilterDrawerProps {
  isOpen: boolean
  q: string
  isTrash: boolean
  total: Total | undefined
  onToggle: OnToggle
  onClear: () => void
  onClose: () => void
}

export function FilterDrawer({ isOpen, q, isTrash, total, onToggle, onClear, onClose }: FilterDrawerProps) {
  return (
    <Drawer.Root opened={isOpen} onClose={onClose} position="bottom" size="82%">
      <Drawer.Overlay />
      <Drawer.Content className={classes.content} radius="xl">
        <Drawer.Header role="none">
          <Drawer.Title fw={600} fz="lg">
            Filter
          </Drawer.Title>
          {q && (
            <UnstyledButton className={classes.clear} onClick={onClear}>
              Clear filters
            </UnstyledButton>
          )}
        </Drawer.Header>
        <Drawer.Body className={classes.body}>
          <FacetRail q={q} isTrash={isTrash} onToggle={onToggle} />
        </Drawer.Body>
        <div className={classes.foot}>
          <Button fullWidth size="md" onClick={onClose}>
            {total ? `Show ${total.isAtLeast ? 'at least ' : ''}${formatCount(total.count, 'model')}` : 'Show models'}
          </Button>
        </div>
      </Drawer.Content>
    </Drawer.Root>
  )
}
