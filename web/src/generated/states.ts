// Written by `make fix`. Do not edit. The facts are in src/modelyard/:
//     wire/agents/values.py
//     wire/credentials.py
//     wire/model_details.py
//     wire/model_filter.py
//     wire/models.py
//     wire/versions.py

/** The states of machines as people mean them. */
export const MACHINE_STATES = ['up_to_date', 'syncing', 'waiting', 'problem', 'offline'] as const

/** The states of a model's replica on a machine. */
export const REPLICA_STATES = [
  'queued',
  'downloading',
  'verifying',
  'ready',
  'conflict',
  'blocked',
  'failed',
  'evicted',
] as const

/** The largest number of replica states in one response. */
export const MAX_STATES_IN_RESPONSE = 10_000

/** Whether machines get a model. */
export const MODEL_STATUSES = ['active', 'disabled'] as const

/** The states of the verification of a model's file. */
export const VERIFICATIONS = ['pending', 'verified', 'failed'] as const

/** The states of a version. */
export const VERSION_STATUSES = ['current', 'pending', 'replaced', 'superseded', 'failed'] as const

/** The orders of a list of models. */
export const MODEL_SORTS = [
  'created_at',
  '-created_at',
  'display_name',
  '-display_name',
  'file_size',
  '-file_size',
  'last_used_at',
  '-last_used_at',
] as const

/** The kinds of keys. */
export const CREDENTIAL_KINDS = ['integration', 'agent', 'device'] as const

/** The sources of a base model that prove nothing: it may be wrong. */
export const CLAIMED_BASE_SOURCES = ['sidecar', 'metadata', 'file_name']
