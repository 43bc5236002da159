// Shows the new secret of a webhook, and replaces the secret of one.

import { Button, Group, Stack, Text } from '@mantine/core'
import { useMutation } from '@tanstack/react-query'
import { api, unwrap } from '@/api/client'
import type { Webhook } from '@/api/types'
import { notifyError } from '@/components/notify'
import { SecretDialog, ShownSecret } from '@/components/SecretDialog'
import { refreshWebhooks } from '@/features/webhooks/queries'

export function WebhookSecret({ secret, onClose }: { secret: string; onClose: () => void }) {
  return (
    <ShownSecret
      label="Secret"
      secret={secret}
      hint="The receiver verifies the signature of each request with it. It cannot be shown again."
      onClose={onClose}
    />
  )
}

export function RotateSecret({ of: webhook, onClose }: { of: Webhook | undefined; onClose: () => void }) {
  const rotate = useMutation({
    mutationFn: ({ id }: Webhook) =>
      unwrap(api.POST('/api/v1/webhooks/{webhook_id}/rotate-secret', { params: { path: { webhook_id: id } } })),
    onError: notifyError,
    onSettled: refreshWebhooks,
  })
  const close = () => {
    onClose()
    rotate.reset()
  }
  return (
    <SecretDialog
      title={rotate.data ? 'The new secret' : 'Rotate the secret?'}
      isOpen={webhook !== undefined}
      isShown={rotate.data !== undefined}
      onClose={close}
    >
      {rotate.data && <WebhookSecret secret={rotate.data.secret} onClose={close} />}
      {webhook && !rotate.data && (
        <Stack>
          <Text component="div">
            “<bdi>{webhook.display_name}</bdi>” gets a new secret. For 24 hours its requests are signed with the old one
            too, so that you can change the receiver meanwhile.
          </Text>
          <Group justify="flex-end">
            <Button variant="default" onClick={close}>
              Cancel
            </Button>
            <Button loading={rotate.isPending} onClick={() => rotate.mutate(webhook)}>
              Rotate
            </Button>
          </Group>
        </Stack>
      )}
    </SecretDialog>
  )
}
