// A dialog whose last step shows a new secret, which cannot be shown again.

import { Alert, Button, Group, Modal, Stack } from '@mantine/core'
import type { ReactNode } from 'react'
import { CopyField } from '@/components/CopyField'

interface SecretDialogProps {
  title: string
  isOpen: boolean
  /** Whether the secret is shown: the dialog is closed only by a button then, not by accident. */
  isShown: boolean
  onClose: () => void
  children: ReactNode
}

export function SecretDialog({ title, isOpen, isShown, onClose, children }: SecretDialogProps) {
  return (
    <Modal
      opened={isOpen}
      onClose={onClose}
      size="lg"
      title={title}
      closeOnClickOutside={!isShown}
      closeOnEscape={!isShown}
      closeButtonProps={{ 'aria-label': 'Close' }}
    >
      {children}
    </Modal>
  )
}

interface ShownSecretProps {
  /** What the secret is called, such as "Key". */
  label: string
  secret: string
  /** What it is for, and that it cannot be shown again. */
  hint: string
  onClose: () => void
  /** What is shown below the secret. */
  children?: ReactNode
}

export function ShownSecret({ label, secret, hint, onClose, children }: ShownSecretProps) {
  return (
    <Stack>
      <Alert title={`Copy the ${label.toLowerCase()} now`}>{hint}</Alert>
      <CopyField label={label} text={secret} />
      {children}
      <Group justify="flex-end">
        <Button onClick={onClose}>Done</Button>
      </Group>
    </Stack>
  )
}
