// The fields of a webhook: what it is for, its address, and the events that it gets.

import { Button, Checkbox, Group, Stack, TextInput } from '@mantine/core'
import { type FormEvent, useState } from 'react'
import { asProblem } from '@/api/problem'
import type { NewWebhook, Webhook, WebhookEventType } from '@/api/types'
import { notifyError } from '@/components/notify'
import { EVENT_LABELS, EVENT_TYPES } from '@/features/webhooks/eventLabels'
import { MAX_NAME_LENGTH } from '@/generated/fieldLimits'

export type WebhookFields = Pick<NewWebhook, 'display_name' | 'url' | 'event_list'>

interface WebhookFormProps {
  verb: string
  start?: Pick<Webhook, 'display_name' | 'url' | 'event_list'>
  /** The last refusal of the registry; what it says of fields is shown at them. */
  error: Error | null
  isBusy: boolean
  onSave: (fields: WebhookFields) => void
}

export function WebhookForm({ verb, start, error, isBusy, onSave }: WebhookFormProps) {
  const [events, setEvents] = useState<string[]>(start?.event_list ?? EVENT_TYPES)
  const refusals = error ? asProblem(error).fields : {}
  const onSubmit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault()
    const typed = new FormData(event.currentTarget)
    onSave({
      display_name: String(typed.get('name')).trim(),
      url: String(typed.get('url')).trim(),
      event_list: events as WebhookEventType[],
    })
  }
  return (
    <form onSubmit={onSubmit}>
      <Stack>
        <TextInput
          name="name"
          label="Name"
          placeholder="What it is for, such as “Studio chat”"
          defaultValue={start?.display_name}
          required
          maxLength={MAX_NAME_LENGTH}
          error={refusals.display_name}
          data-autofocus
        />
        <TextInput
          name="url"
          label="Address"
          placeholder="https://hooks.studio.example/modelyard"
          defaultValue={start?.url}
          required
          maxLength={2000}
          error={refusals.url}
        />
        <Checkbox.Group label="Events" value={events} onChange={setEvents}>
          <Stack gap="xs" mt="xs">
            {EVENT_TYPES.map((type) => (
              <Checkbox key={type} value={type} label={EVENT_LABELS[type]} />
            ))}
          </Stack>
        </Checkbox.Group>
        <Group justify="flex-end">
          <Button type="submit" loading={isBusy} disabled={events.length === 0}>
            {verb}
          </Button>
        </Group>
      </Stack>
    </form>
  )
}

/** Show an error as a notice, unless the form shows it at its fields. */
export function notifyUnlessAtField(error: Error): void {
  const { url, display_name } = asProblem(error).fields
  if (!url && !display_name) notifyError(error)
}
