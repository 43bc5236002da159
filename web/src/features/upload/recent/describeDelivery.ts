// How far an uploaded model is on its way to the machines, in one line.

import type { AgentState, Model, ModelStates } from '@/api/types'
import { formatBytes, formatCount } from '@/components/format'
import { isInProgress } from '@/components/isInProgress'
import { isLoaded } from '@/components/isLoaded'
import { formatModelType } from '@/components/modelType'
import { isDamaged, isKeptToConvert } from '@/features/models/refusals'
import type { Item } from '@/features/upload/engine/items'

export interface Delivery {
  /** `done`: on each machine that should have it. `problem`: a person has to act. */
  kind: 'done' | 'moving' | 'problem' | 'idle'
  text: string
  /** What a person may do about it. */
  next?: 'see machines' | 'pair machine'
}

/** What is known of the team's machines. */
export interface Fleet {
  /** Machines that do not answer. */
  offline: ReadonlySet<string>
  isEmpty: boolean
}

export type DeliveredModel = Pick<
  Model,
  'file_size' | 'model_status' | 'verification' | 'verification_error' | 'version' | 'pending_version' | 'metadata'
>

// Further machines are counted: the line stays a line.
const MAX_NAMED = 2
// A model that is ready among those that are left is one that ComfyUI does not load.
const PROBLEMS: AgentState['state'][] = ['conflict', 'blocked', 'failed', 'ready']

/** Describe a model by its record and the states of its replicas. */
export function describeDelivery(
  model: DeliveredModel,
  states: ModelStates | undefined,
  { offline, isEmpty }: Fleet,
): Delivery {
  const unverified = describeVerification(model)
  if (unverified) return unverified
  if (model.model_status === 'disabled') return { kind: 'idle', text: 'Stored. It is disabled, so no machine gets it.' }
  if (isEmpty) return { kind: 'idle', text: 'Stored. The team has no machines yet.', next: 'pair machine' }
  if (!states) return { kind: 'moving', text: 'Stored. Loading its machines…' }
  const rest = states.state_list.filter((one) => !isLoaded(one))
  const total = states.ready.length + states.state_list.length
  const ready = total - rest.filter(({ state }) => state !== 'ready').length
  if (total === 0) return { kind: 'idle', text: 'Stored. No machine should have it yet.', next: 'see machines' }
  if (rest.length === 0) return { kind: 'done', text: `On ${ready} of ${formatCount(total, 'machine')}` }
  const isStuck = (one: AgentState) => PROBLEMS.includes(one.state)
  const sorted = rest.toSorted((one, other) => Number(isStuck(other)) - Number(isStuck(one)))
  const named = sorted.slice(0, MAX_NAMED).map((one) => describeReplica(one, model.file_size, offline))
  const more = sorted.length > MAX_NAMED ? [`${sorted.length - MAX_NAMED} more`] : []
  const text = [`On ${ready} of ${total}`, ...named, ...more].join('; ')
  return rest.some(isStuck) ? { kind: 'problem', text, next: 'see machines' } : { kind: 'moving', text }
}

/** Return whether a replica is in progress on a machine that answers: others change when a person acts. */
export function isMoving({ state_list }: ModelStates, offline: ReadonlySet<string>): boolean {
  return state_list.some(({ agent_id, state }) => isInProgress({ state }) && !offline.has(agent_id))
}

function describeVerification({ version, pending_version: pending, ...model }: DeliveredModel): Delivery | undefined {
  const newer = pending && pending.version !== version ? pending : undefined
  if (!newer && isKeptToConvert(model)) return { kind: 'idle', text: 'Kept to be converted. Machines do not get it.' }
  const wasVerified = isDamaged({ ...model, version, pending_version: pending })
  const { verification, verification_error: reason } = newer ?? model
  if (verification === 'verified') return undefined
  const name = newer ? `version ${newer.version}` : ''
  if (verification === 'pending' && !reason) return { kind: 'moving', text: `Verifying ${name}`.trim() }
  const failed = name ? `Verification of ${name} failed` : wasVerified ? 'Damaged' : 'Verification failed'
  const waits = newer ? `Version ${newer.version} is not verified yet` : 'Not verified yet'
  return { kind: 'problem', text: `${verification === 'failed' ? failed : waits}: ${reason ?? ''}` }
}

/** `render-07 at 62 %`, `ws-lena: the disk is full`. */
function describeReplica(
  { agent_id, state, reason, bytes_done }: AgentState,
  size: number,
  offline: ReadonlySet<string>,
) {
  if (PROBLEMS.includes(state)) return `${agent_id}: ${reason?.replace(/\.$/, '') || state}`
  if (offline.has(agent_id)) return `${agent_id}: offline`
  if (state === 'verifying') return `${agent_id}: verifying`
  if (bytes_done > 0) return `${agent_id} at ${Math.min(100, Math.floor((100 * bytes_done) / Math.max(1, size)))} %`
  return `${agent_id}: ${reason?.replace(/\.$/, '') || state}`
}

const IGNORED_FIELDS: Record<string, string> = { model_path: 'path', model_type: 'type', file_size: 'size' }

/** Return what the model keeps although the file was registered with another value. */
export function describeIgnored(item: Pick<Item, 'ignored'> | undefined): string {
  const kept =
    item?.ignored?.map(({ field, kept }) => `the ${IGNORED_FIELDS[field] ?? field} ${formatKept(field, kept)}`) ?? []
  return kept.length > 0 ? `keeps ${kept.join(' and ')}` : ''
}

function formatKept(field: string, kept: string | number): string {
  if (field === 'model_type') return formatModelType(String(kept))
  return field === 'file_size' ? formatBytes(Number(kept)) : String(kept)
}
