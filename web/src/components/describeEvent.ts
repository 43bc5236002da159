// Descriptions of audit events: one sentence for each action of the registry.

import type { AuditEvent } from '@/api/types'
import { formatCount } from '@/components/format'

/** Actor, verb, object and detail: "Ada" "removed" "Bob" " from the team". */
export interface EventDescription {
  verb: string
  object?: string | undefined
  /** Starts with its separator: a space or a colon. */
  detail?: string
}

/** The object of an event of a model that does not name its path. */
export const SOME_MODEL = 'a model'

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

/** An event about one version, such as "uploaded version 3 of ink.safetensors". */
function versionEvent(did: string, more: (facts: Facts) => string = () => ''): Describer {
  return (facts) => ({
    verb: `${did} version ${text(facts, 'version')} of`,
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

export const DESCRIBERS: Record<string, Describer> = {
  'model.registered': modelEvent('registered'),
  'model.replaced': modelEvent('replaced the file of'),
  'model.changed': (facts) => ({
    verb: 'changed',
    object: text(facts, 'moved_from') || text(facts, 'model_path') || SOME_MODEL,
    detail: `: ${formatChanges(facts)}`,
  }),
  'model.enabled': modelEvent('enabled'),
  'model.disabled': modelEvent('disabled'),
  'model.deleted': modelEvent('moved', 'to the trash'),
  'model.restored': modelEvent('restored', 'from the trash'),
  'model.verified': modelEvent('verified'),
  'model.failed': modelEvent('could not verify', ': the stored file is not what was declared'),
  'model.corrupted': modelEvent('found damage in', ': the stored file has changed since it was verified'),
  'model.repaired': modelEvent('repaired', ': the stored file is correct again'),
  'version.created': versionEvent('uploaded'),
  'version.promoted': versionEvent('verified', () => ': it is the current version'),
  'version.activated': versionEvent('activated', (facts) =>
    facts.before ? `in place of version ${facts.before}` : '',
  ),
  'version.changed': versionEvent('changed', (facts) => `: note: ${text(facts, 'note') || 'none'}`),
  'version.deleted': versionEvent('moved', () => 'to the trash'),
  'version.restored': versionEvent('restored', () => 'from the trash'),
  'version.purged': versionEvent('purged'),
  'agent.first_seen': machineEvent('saw the machine', () => 'for the first time'),
  'agent.unhealthy': machineEvent('lost contact with the machine'),
  'agent.recovered': machineEvent('regained contact with the machine'),
  'agent.labelled': machineEvent(
    'labelled the machine',
    (facts) => `: ${formatList(facts.agent_labels) || 'no labels'}`,
  ),
  'agent.paused': machineEvent('paused the machine'),
  'agent.resumed': machineEvent('resumed the machine'),
  'agent.removal_approved': machineEvent('approved a removal on the machine', (facts) => `: ${formatFiles(facts)}`),
  'agent.forgotten': machineEvent('removed the machine'),
  'device.confirmed': (facts) => ({ verb: 'confirmed the code of', object: text(facts, 'device_name') }),
  'device.paired': (facts) => ({ verb: 'paired', object: text(facts, 'device_name') }),
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
