// Changes the name, the address and the events of a webhook.

import { Modal } from '@mantine/core'
import { useMutation } from '@tanstack/react-query'
import { api, unwrap } from '@/api/client'
import type { Webhook } from '@/api/types'
import { notify } from '@/components/notify'
import { refreshWebhooks } from '@/features/webhooks/queries'
import { notifyUnlessAtField, type WebhookFields, WebhookForm } from '@/features/webhooks/WebhookForm'

export function EditWebhook({ of: webhook, onClose }: { of: Webhook | undefined; onClose: () => void }) {
  return (
    <Modal
      opened={webhook !== undefined}
      onClose={onClose}
      size="lg"
      title="Edit webhook"
      closeButtonProps={{ 'aria-label': 'Close' }}
    >
      {webhook && <Form key={webhook.id} of={webhook} onClose={onClose} />}
    </Modal>
  )
}

function Form({ of: webhook, onClose }: { of: Webhook; onClose: () => void }) {
  const save = useMutation({
    mutationFn: async (fields: WebhookFields) => {
      const body = omitUnchanged(webhook, fields)
      if (Object.keys(body).length === 0) return
      await unwrap(api.PUT('/api/v1/webhooks/{webhook_id}', { params: { path: { webhook_id: webhook.id } }, body }))
    },
    onSuccess: async (_, { display_name }) => {
      onClose()
      notify(`“${display_name}” is saved.`)
      await refreshWebhooks()
    },
    onError: notifyUnlessAtField,
  })
  return <WebhookForm verb="Save" start={webhook} error={save.error} isBusy={save.isPending} onSave={save.mutate} />
}

/** Return the fields that differ, so that what another admin changed meanwhile is kept. */
function omitUnchanged(webhook: Webhook, fields: WebhookFields): Partial<WebhookFields> {
  const { display_name, url, event_list: events } = fields
  const isSame =
    events.length === webhook.event_list.length && events.every((type) => webhook.event_list.includes(type))
  return {
    ...(display_name !== webhook.display_name && { display_name }),
    ...(url !== webhook.url && { url }),
    ...(!isSame && { event_list: events }),
  }
}
