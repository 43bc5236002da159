// What the events of webhooks are called on the page.

import type { WebhookEventType } from '@/api/types'

export const EVENT_LABELS: Record<WebhookEventType, string> = {
  'model.registered': 'A model is registered',
  'model.verified': 'A version is verified',
  'model.failed': 'The verification of a version fails',
  'model.corrupted': 'A stored file is damaged',
  'model.repaired': 'A damaged file is repaired',
  'version.promoted': 'A new version becomes the current one',
  'version.activated': 'A person changes the current version',
  'agent.unhealthy': 'A machine is offline',
  'collection.rollout_finished': 'A roll-out has finished',
  'quota.reached_80_percent': 'The team uses 80 % of its quota',
}

export const EVENT_TYPES = Object.keys(EVENT_LABELS) as WebhookEventType[]
