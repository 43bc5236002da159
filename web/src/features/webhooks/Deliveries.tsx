// The newest deliveries of a webhook, why they failed, and buttons to send one again or a test.

import { Badge, Button, Group, Modal, Stack, Text } from '@mantine/core'
import { useMutation } from '@tanstack/react-query'
import { api, unwrap } from '@/api/client'
import type { Webhook, WebhookDelivery } from '@/api/types'
import { Ago } from '@/components/Ago'
import { type Column, DataTable } from '@/components/DataTable'
import { notifyError } from '@/components/notify'
import { LoadError, Loading } from '@/components/placeholders'
import { RowButton } from '@/components/RowButton'
import { refreshWebhooks, useDeliveries } from '@/features/webhooks/queries'

const STATES = {
  pending: { label: 'Waiting', color: 'gray' },
  delivered: { label: 'Delivered', color: 'teal' },
  failed: { label: 'Failed', color: 'red' },
}

export function Deliveries({ of: webhook, onClose }: { of: Webhook | undefined; onClose: () => void }) {
  return (
    <Modal
      opened={webhook !== undefined}
      onClose={onClose}
      size="xl"
      title={webhook && `Deliveries of “${webhook.display_name}”`}
      closeButtonProps={{ 'aria-label': 'Close' }}
    >
      {webhook && <List of={webhook} />}
    </Modal>
  )
}

function List({ of: webhook }: { of: Webhook }) {
  const deliveries = useDeliveries(webhook.id)
  const test = useMutation({
    mutationFn: () =>
      unwrap(api.POST('/api/v1/webhooks/{webhook_id}/test', { params: { path: { webhook_id: webhook.id } } })),
    onError: notifyError,
    onSettled: refreshWebhooks,
  })
  const columns: Column<WebhookDelivery>[] = [
    { title: 'Event', cell: (one) => one.event_type },
    { title: 'State', cell: (one) => <State of={one} /> },
    { title: 'Attempts', isShort: true, cell: (one) => one.attempts },
    { title: 'Queued', isShort: true, cell: (one) => <Ago time={one.created_at} /> },
    { title: 'Actions', isLast: true, cell: (one) => <Redeliver of={one} to={webhook} /> },
  ]
  return (
    <Stack>
      <Group justify="flex-end">
        <Button variant="default" loading={test.isPending} onClick={() => test.mutate()}>
          Send test
        </Button>
      </Group>
      {deliveries.isError && !deliveries.data && (
        <LoadError error={deliveries.error} onRetry={() => void deliveries.refetch()} />
      )}
      {deliveries.isPending && <Loading label="Loading the deliveries" />}
      {deliveries.data?.length === 0 && <Text c="dimmed">No deliveries yet.</Text>}
      {deliveries.data && deliveries.data.length > 0 && (
        <DataTable label="Deliveries" columns={columns} rows={deliveries.data} keyOf={(one) => one.id} />
      )}
    </Stack>
  )
}

function State({ of: one }: { of: WebhookDelivery }) {
  const { label, color } = STATES[one.delivery_state]
  return (
    <>
      <Badge variant="dot" color={color} tt="none">
        {label}
      </Badge>
      {one.error && (
        <Text size="xs" c="dimmed">
          {one.error}
        </Text>
      )}
    </>
  )
}

function Redeliver({ of: one, to: webhook }: { of: WebhookDelivery; to: Webhook }) {
  const send = useMutation({
    mutationFn: () =>
      unwrap(
        api.POST('/api/v1/webhooks/{webhook_id}/deliveries/{delivery_id}/redeliver', {
          params: { path: { webhook_id: webhook.id, delivery_id: one.id } },
        }),
      ),
    onError: notifyError,
    onSettled: refreshWebhooks,
  })
  return (
    <RowButton
      verb="Send again"
      label={`Send ${one.event_type} again`}
      isBusy={send.isPending}
      onClick={() => send.mutate()}
    />
  )
}
