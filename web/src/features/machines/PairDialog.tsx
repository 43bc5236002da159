// Pairs a machine without leaving the list.

import { Divider, Modal, Stack } from '@mantine/core'
import { PairForm } from '@/features/machines/PairForm'
import { PairSteps } from '@/features/machines/PairSteps'

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
        <Divider label="Code shown by the machine" labelPosition="left" />
        <PairForm onDone={onClose} />
      </Stack>
    </Modal>
  )
}
