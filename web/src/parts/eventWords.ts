// The audit trail in words: for each action of the registry, the sentence that people read.

import type { AuditEvent } from '@/api/types'
import { count } from '@/parts/words'

/** `Ada` *did* **what** *more*: "Ada" "removed" "Bob" " from the team". */
export interface Telling {
  did: string
  what?: string | undefined
  /** With what parts it from the words before: a space or a colon. */
  more?: string
}

type Facts = AuditEvent['facts']
type Teller = (facts: Facts, event: AuditEvent) => Telling

/** A fact as text; an empty one if it is not there. */
function text(facts: Facts, name: string): string {
  const value = facts[name]
  return value === undefined || value === null ? '' : String(value)
}

function ofModel(did: string, more = ''): Teller {
  return (facts) => ({ did, what: text(facts, 'model_path') || 'a model', more })
}

function ofMachine(did: string, more: (facts: Facts) => string = () => ''): Teller {
  return (facts, event) => ({ did, what: event.object_id ?? 'a machine', more: more(facts) })
}

function ofPerson(did: string, more: (facts: Facts) => string = () => ''): Teller {
  return (facts) => ({ did, what: text(facts, 'display_name') || 'somebody', more: more(facts) })
}

export const TELLERS: Record<string, Teller> = {
  'model.registered': ofModel('registered'),
  'model.replaced': ofModel('replaced the bytes of'),
  'model.changed': (facts) => ({
    did: 'changed',
    what: text(facts, 'moved_from') || text(facts, 'model_path') || 'a model',
    more: `: ${changesOf(facts)}`,
  }),
  'model.enabled': ofModel('enabled'),
  'model.disabled': ofModel('disabled'),
  'model.deleted': ofModel('moved', 'to the trash'),
  'model.restored': ofModel('brought', 'back from the trash'),
  'model.verified': ofModel('read', 'and verified it'),
  'model.failed': ofModel('read', 'and found that its bytes are not what was declared'),
  'model.rotten': ofModel('read', 'again and found that its bytes have rotted'),
  'model.healed': ofModel('healed', ': its bytes are whole again'),
  'agent.first_seen': ofMachine('saw the machine', () => 'for the first time'),
  'agent.unhealthy': ofMachine('missed the machine', () => ': it does not answer'),
  'agent.recovered': ofMachine('saw the machine', () => 'again'),
  'agent.labelled': ofMachine('labelled the machine', (facts) => `: ${listed(facts.agent_labels) || 'no labels'}`),
  'agent.paused': ofMachine('paused the machine'),
  'agent.resumed': ofMachine('let the machine', () => 'go on'),
  'agent.removal_approved': ofMachine('let the machine', (facts) => `remove ${filesOf(facts)}`),
  'agent.forgotten': ofMachine('made the registry forget the machine'),
  'device.confirmed': (facts) => ({ did: 'confirmed the code of', what: text(facts, 'device_name') }),
  'device.paired': (facts) => ({ did: 'paired', what: text(facts, 'device_name') }),
  'credential.created': (facts) => ({ did: `made the ${text(facts, 'kind')} key`, what: text(facts, 'display_name') }),
  'credential.revoked': (facts) => ({
    did: `revoked the ${text(facts, 'kind')} key`,
    what: text(facts, 'display_name') || 'of its own',
  }),
  'invitation.created': (facts) => ({
    did: 'invited',
    what: text(facts, 'email_address'),
    more: `as ${text(facts, 'role')}`,
  }),
  'invitation.withdrawn': (facts) => ({ did: 'withdrew the invitation of', what: text(facts, 'email_address') }),
  'member.joined': (facts) => ({ did: `joined the team as ${text(facts, 'role')}` }),
  'member.role_changed': ofPerson('made', (facts) => `${text(facts, 'after')} (was ${text(facts, 'before')})`),
  'member.removed': ofPerson('removed', () => 'from the team'),
  'member.left': () => ({ did: 'left the team' }),
  'team.created': (facts) => ({ did: 'made the team', what: text(facts, 'display_name') }),
  'team.changed': (facts) => ({ did: `changed the team: ${changesOf(facts)}` }),
  'team.transferred': ofPerson('made', () => 'the owner of the team'),
  'team.deleted': () => ({ did: 'deleted the team' }),
  'team.restored': () => ({ did: 'brought the team back' }),
}

/** What happened, in words; an action that this page does not know is told as it is written down. */
export function tellingOf(event: AuditEvent): Telling {
  const { did, what, more = '' } = (TELLERS[event.action] ?? asWritten)(event.facts, event)
  return { did, what, more: more === '' || more.startsWith(':') ? more : ` ${more}` }
}

function asWritten(facts: Facts, { action, object_id }: AuditEvent): Telling {
  return { did: `${action}:`, what: object_id ?? undefined, more: changesOf(facts) }
}

/** Facts as `name: value`; those that only name the object are left out. */
function changesOf(facts: Facts): string {
  const isMove = 'moved_from' in facts
  return Object.entries(facts)
    .filter(([name]) => name !== 'moved_from' && (isMove || name !== 'model_path'))
    .map(([name, value]) => `${name.replaceAll('_', ' ')}: ${shown(value)}`)
    .join(', ')
}

function shown(value: unknown): string {
  if (value === null || value === '') return 'none'
  if (Array.isArray(value)) return listed(value) || 'none'
  return typeof value === 'object' ? JSON.stringify(value) : String(value)
}

function listed(value: unknown): string {
  return Array.isArray(value) ? value.map(String).join(', ') : ''
}

function filesOf(facts: Facts): string {
  return typeof facts.files === 'number' ? count(facts.files, 'file') : 'the files that it held back'
}
