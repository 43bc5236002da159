// Adds a webhook. Its secret is shown only once.

import { useMutation } from '@tanstack/react-query'
import { api, unwrap } from '@/api/client'
import { SecretDialog } from '@/components/SecretDialog'
import { refreshWebhooks } from '@/features/webhooks/queries'
import { notifyUnlessAtField, type WebhookFields, WebhookForm } from '@/features/webhooks/WebhookForm'
import { WebhookSecret } from '@/features/webhooks/WebhookSecret'

export function NewWebhook({ isOpen, onClose }: { isOpen: boolean; onClose: () => void }) {
  const add = useMutation({
    mutationFn: (fields: WebhookFields) =>
      unwrap(api.POST('/api/v1/webhooks', { body: { ...fields, is_enabled: true } })),
    onSuccess: refreshWebhooks,
    onError: notifyUnlessAtField,
  })
  const close = () => {
    onClose()
    add.reset()
  }
  return (
    <SecretDialog
      title={add.data ? 'The secret of the webhook' : 'Add webhook'}
      isOpen={isOpen}
      isShown={add.data !== undefined}
      onClose={close}
    >
      {add.data ? (
        <WebhookSecret secret={add.data.secret} onClose={close} />
      ) : (
        <WebhookForm verb="Add webhook" error={add.error} isBusy={add.isPending} onSave={add.mutate} />
      )}
    </SecretDialog>
  )
}
