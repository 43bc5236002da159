// The responses of the agent's local API.

export interface AgentStatus {
  registry_url: string
  team_name: string | null
  machine_name: string
  is_registry_reachable: boolean
  problem: string | null
  may_fetch: boolean | null
  may_push: boolean
  push_hint: string | null
}

export interface TeamModel {
  id: string
  display_name: string
  model_type: string
  model_path: string
  base_model: string | null
  is_base_claimed?: boolean
  trigger_words: string[]
  file_size: number
  preview_sha256: string | null
  state: string
}

export interface ModelPage {
  model_list: TeamModel[]
  next_cursor: string | null
}

export interface FetchResult {
  requested: string[]
  refused: { id: string; problem: string }[]
}

export interface ModelProgress {
  id: string
  state: string
  received_bytes: number
  file_size: number | null
  problem: string | null
}

export interface ProgressReport {
  model_list: ModelProgress[]
}

export interface WorkflowReference {
  node_id: string
  node_type: string
  input: string
  name: string
  folder: string | null
  url: string | null
  state: 'present' | 'other_content' | 'other_name' | 'similar' | 'unknown'
  model_id: string | null
  suggestion: string | null
}

export interface WorkflowReport {
  reference_list: WorkflowReference[]
}

/** A workflow to push as a collection; `expected_version` and `replace` confirm what changes one that exists. */
export interface WorkflowPush {
  workflow: object
  name: string
  expected_version?: number
  replace?: boolean
}

export interface PushReport {
  state: 'running' | 'done'
  step?: 'preparing' | 'hashing' | 'sending' | 'verifying'
  done_bytes?: number
  total_bytes?: number | null
  model_path?: string
  collection_name?: string
  version?: number
  model_count?: number
  pushed_list?: string[]
  missing_list?: string[]
  failed_list?: { path: string; problem: string }[]
  other_content_list?: string[]
}
