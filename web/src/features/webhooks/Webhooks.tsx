// The team's webhooks in its settings: list, add, turn on and off, deliveries, edit, rotate the secret, delete.

import { ActionIcon, Alert, Button, Code, Group, Menu, Stack, Switch, Text } from '@mantine/core'
import { useDisclosure } from '@mantine/hooks'
import { IconDots, IconKey, IconPencil, IconPlus, IconTrash } from '@tabler/icons-react'
import { useMutation } from '@tanstack/react-query'
import { useRef, useState } from 'react'
import { api, unwrap } from '@/api/client'
import type { Webhook } from '@/api/types'
import { Ago } from '@/components/Ago'
import { Confirm } from '@/components/Confirm'
import { formatDateTime } from '@/components/format'
import { notify, notifyError } from '@/components/notify'
import { Panel } from '@/components/Panel'
import { LoadError, Loading } from '@/components/placeholders'
import { Deliveries } from '@/features/webhooks/Deliveries'
import { EditWebhook } from '@/features/webhooks/EditWebhook'
import { EVENT_LABELS } from '@/features/webhooks/eventLabels'
import { NewWebhook } from '@/features/webhooks/NewWebhook'
import { refreshWebhooks, useWebhooks } from '@/features/webhooks/queries'
import { RotateSecret } from '@/features/webhooks/WebhookSecret'

type Action = 'deliveries' | 'edit' | 'rotate' | 'delete'

export function Webhooks() {
  const webhooks = useWebhooks()
  const [isAdding, { open, close }] = useDisclosure(false)
  const [chosen, setChosen] = useState<{ action: Action; webhook: Webhook }>()
  const getChosen = (action: Action) => (chosen?.action === action ? chosen.webhook : undefined)
  const onClose = () => setChosen(undefined)
  const add = (
    <Button variant="default" leftSection={<IconPlus size={18} aria-hidden />} onClick={open}>
      Add webhook
    </Button>
  )
  return (
    <Panel title="Webhooks" actions={add}>
      <Text size="sm">Webhooks send events of the team to other systems, such as a chat.</Text>
      {webhooks.isError && !webhooks.data && (
        <LoadError error={webhooks.error} onRetry={() => void webhooks.refetch()} />
      )}
      {webhooks.isPending && <Loading label="Loading the webhooks" />}
      {webhooks.data?.map((webhook) => (
        <Row key={webhook.id} of={webhook} onChoose={(action) => setChosen({ action, webhook })} />
      ))}
      <NewWebhook isOpen={isAdding} onClose={close} />
      <Deliveries of={getChosen('deliveries')} onClose={onClose} />
      <EditWebhook of={getChosen('edit')} onClose={onClose} />
      <RotateSecret of={getChosen('rotate')} onClose={onClose} />
      <RemoveDialog of={getChosen('delete')} onClose={onClose} />
    </Panel>
  )
}

interface RowProps {
  of: Webhook
  onChoose: (action: Action) => void
}

function Row({ of: one, onChoose }: RowProps) {
  const change = useMutation({
    mutationFn: (is_enabled: boolean) =>
      unwrap(
        api.PUT('/api/v1/webhooks/{webhook_id}', { params: { path: { webhook_id: one.id } }, body: { is_enabled } }),
      ),
    onError: notifyError,
    onSettled: refreshWebhooks,
  })
  return (
    <Stack gap={4} role="group" aria-label={one.display_name}>
      <Group justify="space-between" gap="sm" wrap="nowrap">
        <Switch
          label={<bdi style={{ overflowWrap: 'anywhere' }}>{one.display_name}</bdi>}
          checked={change.isPending ? change.variables : one.is_enabled}
          disabled={change.isPending}
          onChange={(event) => change.mutate(event.currentTarget.checked)}
        />
        <Actions of={one} onChoose={onChoose} />
      </Group>
      <Code style={{ overflowWrap: 'anywhere' }}>{one.url}</Code>
      <Text size="xs" c="dimmed">
        {one.event_list.map((type) => EVENT_LABELS[type] ?? type).join(' · ')}
      </Text>
      {one.previous_secret_until && (
        <Text size="xs" c="dimmed">
          The old secret signs too until {formatDateTime(one.previous_secret_until)}.
        </Text>
      )}
      <State of={one} />
    </Stack>
  )
}

const ITEMS = [
  { action: 'edit', label: 'Edit', icon: IconPencil },
  { action: 'rotate', label: 'Rotate secret', icon: IconKey },
  { action: 'delete', label: 'Delete', icon: IconTrash },
] as const

function Actions({ of: one, onChoose }: RowProps) {
  const menuButton = useRef<HTMLButtonElement>(null)
  // A dialog returns the focus to what had it before, which must not be an item of the closed menu.
  const choose = (action: Action) => {
    menuButton.current?.focus()
    onChoose(action)
  }
  return (
    <Group gap={4} wrap="nowrap">
      <Button
        size="compact-sm"
        variant="default"
        aria-label={`Deliveries of ${one.display_name}`}
        onClick={() => onChoose('deliveries')}
      >
        Deliveries
      </Button>
      <Menu position="bottom-end">
        <Menu.Target>
          <ActionIcon ref={menuButton} variant="subtle" color="gray" aria-label={`Actions for ${one.display_name}`}>
            <IconDots size={18} aria-hidden />
          </ActionIcon>
        </Menu.Target>
        <Menu.Dropdown>
          {ITEMS.map(({ action, label, icon: Icon }) => (
            <Menu.Item key={action} leftSection={<Icon size={16} aria-hidden />} onClick={() => choose(action)}>
              {label}
            </Menu.Item>
          ))}
        </Menu.Dropdown>
      </Menu>
    </Group>
  )
}

function State({ of: one }: { of: Webhook }) {
  if (one.disabled_reason)
    return (
      <Alert color="red" title="Disabled by the registry">
        {one.disabled_reason} Turn the webhook on again when its receiver works.
      </Alert>
    )
  if (one.last_error)
    return (
      <Text size="xs" c="red">
        The last attempt failed: {one.last_error}
      </Text>
    )
  if (!one.last_delivered_at) return null
  return (
    <Text size="xs" c="dimmed" component="div">
      Last delivery <Ago time={one.last_delivered_at} />
    </Text>
  )
}

function RemoveDialog({ of: one, onClose }: { of: Webhook | undefined; onClose: () => void }) {
  const remove = useMutation({
    mutationFn: ({ id }: Webhook) =>
      unwrap(api.DELETE('/api/v1/webhooks/{webhook_id}', { params: { path: { webhook_id: id } } })),
    onSuccess: (_, { display_name }) => notify(`“${display_name}” is deleted.`),
    onError: notifyError,
    onSettled: async () => {
      onClose()
      await refreshWebhooks()
    },
  })
  return (
    <Confirm
      title="Delete this webhook?"
      verb="Delete"
      isOpen={one !== undefined}
      isBusy={remove.isPending}
      onConfirm={() => one && remove.mutate(one)}
      onClose={onClose}
    >
      “<bdi>{one?.display_name}</bdi>” gets no more events, and its deliveries are deleted.
    </Confirm>
  )
}
