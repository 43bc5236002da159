// Bringing in a machine without leaving the list, in which it appears.

import { Divider, Modal, Stack } from '@mantine/core'
import { PairForm } from '@/views/machines/PairForm'
import { PairSteps } from '@/views/machines/PairSteps'

export function PairDialog({ isOpen, onClose }: { isOpen: boolean; onClose: () => void }) {
  return (
    <Modal
      opened={isOpen}
      onClose={onClose}
      title="Pair a machine"
      size="lg"
      closeButtonProps={{ 'aria-label': 'Close' }}
    >
      <Stack>
        <PairSteps />
        <Divider label="The code that it shows" labelPosition="left" />
        <PairForm onDone={onClose} />
      </Stack>
    </Modal>
  )
}
