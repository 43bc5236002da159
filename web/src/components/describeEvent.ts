// Descriptions of audit events: one sentence for each action of the registry.

import type { AuditEvent } from '@/api/types'
import { formatBytes, formatCount } from '@/components/format'
import { UNHEALTHY_SECONDS } from '@/generated/durations'

/** Actor, verb, object and detail: "Ada" "removed" "Bob" " from the team". */
export interface EventDescription {
  verb: string
  object?: string | undefined
  /** Starts with its separator: a space or a colon. */
  detail?: string
}

/** The object of an event of a model that does not name its path. */
export const SOME_MODEL = 'a model'

/** Why a roll-out was approved without canaries. */
const OBSTACLES: Record<string, string> = {
  canaries_offline: ', which were all offline',
  canaries_gone: ', since no subscribed machine had their label',
}

type Facts = AuditEvent['facts']
type Describer = (facts: Facts, event: AuditEvent) => EventDescription

/** Return a fact as text, or '' if it is missing. */
function text(facts: Facts, name: string): string {
  const value = facts[name]
  return value === undefined || value === null ? '' : String(value)
}

function modelEvent(did: string, more = ''): Describer {
  return (facts) => ({ verb: did, object: text(facts, 'model_path') || SOME_MODEL, detail: more })
}

/** An event about a model on one machine. */
function assignmentEvent(did: string): Describer {
  return (facts) => ({
    verb: did,
    object: text(facts, 'model_path') || SOME_MODEL,
    detail: `to ${text(facts, 'agent_id')}`,
  })
}

/** An event about one version, such as "uploaded version 3 of ink.safetensors"; old events may not name the version. */
function versionEvent(did: string, more: (facts: Facts) => string = () => ''): Describer {
  return (facts) => ({
    verb: facts.version ? `${did} version ${text(facts, 'version')} of` : did,
    object: text(facts, 'model_path') || SOME_MODEL,
    detail: more(facts),
  })
}

function collectionEvent(did: string, more: (facts: Facts) => string = () => ''): Describer {
  return (facts) => ({
    verb: `${did} the collection`,
    object: text(facts, 'name') || text(facts, 'renamed_from') || 'a collection',
    detail: more(facts),
  })
}

function webhookEvent(did: string, more: (facts: Facts) => string = () => ''): Describer {
  return (facts) => ({ verb: `${did} the webhook`, object: text(facts, 'display_name'), detail: more(facts) })
}

/** An event about the roll-out of a version of a collection. */
function rolloutEvent(did: string, more: (facts: Facts) => string = () => ''): Describer {
  return (facts) => ({
    verb: `${did} version ${text(facts, 'version')} of the collection`,
    object: text(facts, 'name') || 'a collection',
    detail: more(facts),
  })
}

/** What changed in a collection: ": it is pinned". */
function describeCollectionChange(facts: Facts): string {
  const parts = [
    facts.renamed_from ? `its name is ${text(facts, 'name')}` : '',
    facts.is_pinned === true ? 'it is pinned' : '',
    facts.is_pinned === false ? 'it is no longer pinned' : '',
    facts.is_held === true ? 'it is held, so that new versions wait for a roll-out' : '',
    facts.is_held === false ? 'it is no longer held' : '',
  ].filter((part) => part !== '')
  return parts.length > 0 ? `: ${parts.join(', ')}` : ''
}

/** An event about a machine, or all machines with a label, and a collection. */
function subscriptionEvent(did: string): Describer {
  return (facts) => ({
    verb: did,
    object: text(facts, 'agent_id') || `machines with the label ${text(facts, 'label')}`,
    detail: `to the collection ${text(facts, 'name')}`,
  })
}

function importEvent(did: string, more: (facts: Facts) => string = () => ''): Describer {
  return (facts) => ({
    verb: `${did} the import of`,
    object: text(facts, 'model_path') || SOME_MODEL,
    detail: more(facts),
  })
}

function machineEvent(did: string, more: (facts: Facts) => string = () => ''): Describer {
  return (facts, event) => ({ verb: did, object: event.object_id ?? 'a machine', detail: more(facts) })
}

function memberEvent(did: string, more: (facts: Facts) => string = () => ''): Describer {
  return (facts) => ({ verb: did, object: text(facts, 'display_name') || 'a person', detail: more(facts) })
}

function formatKey(facts: Facts, which: '' | 'before_'): string {
  return `${text(facts, `${which}key_name`)} ${text(facts, `${which}key_prefix`)}…`
}

export const DESCRIBERS: Record<string, Describer> = {
  'model.registered': modelEvent('registered'),
  'model.replaced': modelEvent('replaced the file of'),
  'model.changed': (facts) => ({
    verb: 'changed',
    object: text(facts, 'moved_from') || text(facts, 'model_path') || SOME_MODEL,
    detail: `: ${formatChanges(facts)}`,
  }),
  'model.assigned': assignmentEvent('assigned'),
  'model.requested': (facts) => ({
    verb: 'requested',
    object: text(facts, 'model_path') || SOME_MODEL,
    detail: `for the machine ${text(facts, 'agent_id')}`,
  }),
  'model.unassigned': assignmentEvent('ended the assignment of'),
  'model.enabled': modelEvent('enabled'),
  'model.disabled': modelEvent('disabled'),
  'model.deleted': (facts, event) =>
    modelEvent(
      'moved',
      facts.pinned_in
        ? `to the trash by force, although it is pinned in ${formatList(facts.pinned_in)}`
        : 'to the trash',
    )(facts, event),
  'model.restored': modelEvent('restored', 'from the trash'),
  'model.verified': versionEvent('verified'),
  'model.failed': versionEvent('could not verify', () => ': it is refused, or not what was declared'),
  'model.corrupted': versionEvent('found damage in', () => ': the stored file has changed since it was verified'),
  'model.repaired': versionEvent('repaired', () => ': the stored file is correct again'),
  'model.converted': modelEvent('converted a pickle file to'),
  'version.created': versionEvent('uploaded'),
  'version.promoted': versionEvent('made', () => 'the current version'),
  'version.activated': versionEvent('activated', (facts) =>
    facts.before ? `in place of version ${facts.before}` : '',
  ),
  'version.changed': versionEvent('changed', (facts) => `: note: ${text(facts, 'note') || 'none'}`),
  'version.deleted': versionEvent('moved', () => 'to the trash'),
  'version.restored': versionEvent('restored', () => 'from the trash'),
  'version.purged': versionEvent('purged'),
  'version.preview_set': versionEvent('set the picture of'),
  'version.preview_removed': versionEvent('removed the picture of'),
  'collection.created': collectionEvent('created'),
  'collection.changed': (facts) => ({
    verb: 'changed the collection',
    object: text(facts, 'renamed_from') || text(facts, 'name'),
    detail: describeCollectionChange(facts),
  }),
  'collection.version_created': collectionEvent(
    'changed',
    (facts) => `: version ${text(facts, 'version')}, ${formatCount(Number(facts.model_count), 'model')}`,
  ),
  'collection.versions_deleted': (facts) => ({
    verb: `deleted ${formatCount(Array.isArray(facts.versions) ? facts.versions.length : 0, 'old version')} of the collection`,
    object: text(facts, 'name'),
  }),
  'collection.deleted': collectionEvent('deleted'),
  'collection.rollout_started': rolloutEvent('started to roll out', (facts) =>
    facts.canary_label ? `to machines with the label ${text(facts, 'canary_label')}` : 'to all machines',
  ),
  'collection.rollout_waiting_for_approval': rolloutEvent('waits for an approval to go on with', () => ''),
  'collection.rollout_continued': rolloutEvent('went on to roll out', () => 'to all machines'),
  'collection.rollout_approved': rolloutEvent('approved the roll-out of', (facts) =>
    facts.without_canaries ? `without canaries${OBSTACLES[text(facts, 'obstacle')] ?? ''}` : '',
  ),
  'collection.rollout_stopped': rolloutEvent('stopped the roll-out of'),
  'collection.rollout_failed': rolloutEvent('stopped the roll-out of', (facts) => `: ${text(facts, 'reason')}`),
  'collection.rollout_finished': rolloutEvent('finished the roll-out of'),
  'collection.rollout_rolled_back': rolloutEvent(
    'rolled back',
    (facts) => `to version ${text(facts, 'previous_version')}`,
  ),
  'collection.subscribed': subscriptionEvent('subscribed'),
  'collection.unsubscribed': subscriptionEvent('ended the subscription of'),
  'import.started': importEvent('started', (facts) => `from ${text(facts, 'url')}`),
  'import.requested': (facts) => ({
    verb: 'asked at the Hugging Face endpoint for',
    object: `${text(facts, 'repository')}/${text(facts, 'path')}`,
    detail: ', which is imported',
  }),
  'import.cancelled': importEvent('cancelled'),
  'import.retried': importEvent('retried'),
  'import.failed': importEvent('gave up', (facts) => `: ${text(facts, 'error')}`),
  'file.trusted': (facts) => ({
    verb: 'allowed the pickle file',
    object: text(facts, 'file_hash'),
    detail: `: ${text(facts, 'reason')}`,
  }),
  'file.untrusted': (facts) => ({ verb: 'withdrew the trust in the pickle file', object: text(facts, 'file_hash') }),
  'source_check.started': (facts) => ({
    verb: 'started to check',
    object: formatCount(Number(facts.model_count), 'model'),
    detail: 'for newer versions at their sources',
  }),
  'source_token.set': (facts) => ({ verb: 'set the token for', object: text(facts, 'host') }),
  'source_token.deleted': (facts) => ({ verb: 'removed the token for', object: text(facts, 'host') }),
  'agent.first_seen': machineEvent('saw the machine', () => 'for the first time'),
  'agent.unhealthy': machineEvent(
    'lost contact with the machine',
    () => `: it sent no heartbeat for ${UNHEALTHY_SECONDS} seconds`,
  ),
  'agent.recovered': machineEvent('regained contact with the machine'),
  'agent.key_changed': machineEvent(
    'changed the key of the machine',
    (facts) => `to ${formatKey(facts, '')} (was ${formatKey(facts, 'before_')})`,
  ),
  'agent.labelled': machineEvent(
    'labelled the machine',
    (facts) => `: ${formatList(facts.agent_labels) || 'no labels'}`,
  ),
  'agent.budget_set': machineEvent(
    'changed the disk budget of the machine',
    ({ disk_budget_bytes: budget }) => `: ${typeof budget === 'number' ? formatBytes(budget) : 'none'}`,
  ),
  'agent.paused': machineEvent('paused the machine'),
  'agent.resumed': machineEvent('resumed the machine'),
  'agent.removal_approved': machineEvent('approved a removal on the machine', (facts) => `: ${formatFiles(facts)}`),
  'agent.forgotten': machineEvent('removed the machine'),
  'webhook.created': webhookEvent('created'),
  'webhook.changed': webhookEvent('changed'),
  'webhook.deleted': webhookEvent('deleted'),
  'webhook.tested': webhookEvent('sent a test to'),
  'webhook.redelivered': webhookEvent('sent an event again to'),
  'webhook.secret_rotated': webhookEvent('rotated the secret of'),
  'webhook.events_dropped': webhookEvent('dropped events of', (facts) => `: ${text(facts, 'count')}`),
  'webhook.disabled': webhookEvent('disabled', (facts) => `: ${text(facts, 'reason')}`),
  'quota.reached_80_percent': (facts) => ({
    verb: 'warned that the team uses 80 % of its quota',
    detail: `: ${formatBytes(Number(facts.stored_bytes))} of ${formatBytes(Number(facts.quota_bytes))}`,
  }),
  'device.confirmed': (facts) => ({ verb: 'confirmed the code of', object: text(facts, 'device_name') }),
  'device.paired': (facts) => ({
    verb: facts.kind === 'agent' ? 'paired the machine' : 'paired the device',
    object: text(facts, 'device_name'),
    // Events of earlier releases do not have it.
    detail: facts.key_prefix ? `: key ${text(facts, 'key_prefix')}…` : '',
  }),
  'credential.created': (facts) => ({
    verb: `created the ${text(facts, 'kind')} key`,
    object: text(facts, 'display_name'),
  }),
  'credential.rotated': (facts) => ({
    verb: `rotated the ${text(facts, 'kind')} key`,
    object: text(facts, 'display_name'),
    detail: `: the old secret works for ${formatCount(Number(facts.grace_hours), 'hour')} more`,
  }),
  'credential.handed_over': (facts) => ({
    verb: `transferred the ${text(facts, 'kind')} key`,
    object: text(facts, 'display_name'),
    detail: `to ${text(facts, 'new_maker')}`,
  }),
  'credential.revoked': (facts) => ({
    verb: `revoked the ${text(facts, 'kind')} key`,
    object: text(facts, 'display_name') || 'of its own',
  }),
  'invitation.created': (facts) => ({
    verb: 'invited',
    object: text(facts, 'email_address'),
    detail: `as ${text(facts, 'role')}`,
  }),
  'invitation.withdrawn': (facts) => ({ verb: 'withdrew the invitation of', object: text(facts, 'email_address') }),
  'member.joined': (facts) => ({ verb: `joined the team as ${text(facts, 'role')}` }),
  'member.role_changed': memberEvent(
    'changed the role of',
    (facts) => `to ${text(facts, 'after')} (was ${text(facts, 'before')})`,
  ),
  'member.removed': memberEvent('removed', () => 'from the team'),
  'member.renamed': (facts) => ({
    verb: `is called ${text(facts, 'after')} now`,
    detail: `(was ${text(facts, 'before')})`,
  }),
  'session.ended': () => ({ verb: 'ended one of their sessions' }),
  'member.left': () => ({ verb: 'left the team' }),
  'team.created': (facts) => ({ verb: 'created the team', object: text(facts, 'display_name') }),
  'team.changed': (facts) => ({ verb: `changed the team: ${formatChanges(facts)}` }),
  'team.transferred': memberEvent('transferred the team to'),
  'team.deleted': () => ({ verb: 'deleted the team' }),
  'team.restored': () => ({ verb: 'restored the team' }),
}

/** Describe an event; an action that is unknown to this page is shown as recorded. */
export function describeEvent(event: AuditEvent): EventDescription {
  const { verb, object, detail = '' } = (DESCRIBERS[event.action] ?? describeUnknown)(event.facts, event)
  return { verb, object, detail: detail === '' || detail.startsWith(':') ? detail : ` ${detail}` }
}

function describeUnknown(facts: Facts, { action, object_id }: AuditEvent): EventDescription {
  return { verb: `${action}:`, object: object_id ?? undefined, detail: formatChanges(facts) }
}

/** Format facts as `name: value`, without those that only name the object. */
function formatChanges(facts: Facts): string {
  const isMove = 'moved_from' in facts
  return Object.entries(facts)
    .filter(([name]) => name !== 'moved_from' && (isMove || name !== 'model_path'))
    .map(([name, value]) => `${name.replaceAll('_', ' ')}: ${formatValue(value)}`)
    .join(', ')
}

function formatValue(value: unknown): string {
  if (value === null || value === '') return 'none'
  if (Array.isArray(value)) return formatList(value) || 'none'
  return typeof value === 'object' ? JSON.stringify(value) : String(value)
}

function formatList(value: unknown): string {
  return Array.isArray(value) ? value.map(String).join(', ') : ''
}

function formatFiles(facts: Facts): string {
  return typeof facts.files === 'number' ? formatCount(facts.files, 'file') : 'the held files'
}
