// The models that a workflow names, each folder and name once.

import type { NewCollectionModel, ReferenceState, WorkflowCheck, WorkflowReference } from '@/api/types'
import { formatCount } from '@/components/format'

export interface NamedModel {
  folder: string | null
  name: string
  state: ReferenceState
  modelId: string | null
  suggestion: string | null
  /** Why no model can have this name. */
  reason: string | null
  url: string | null
  isRequired: boolean
  /** `LoraLoader #12` for each node that names it. */
  nodes: string[]
}

/** The states in the order of the list: first what needs a person. */
const STATE_ORDER: readonly ReferenceState[] = ['unknown', 'similar', 'other_name', 'other_content', 'present']

/** The name in the workflow loads a file of the team. */
const LOADABLE: readonly ReferenceState[] = ['present', 'other_content']

export function isLoadable({ state }: Pick<NamedModel, 'state'>): boolean {
  return LOADABLE.includes(state)
}

/** Return the models that a workflow names, those that the team lacks first. */
export function listNamedModels({ reference_list }: WorkflowCheck): NamedModel[] {
  const groups = new Map<string, WorkflowReference[]>()
  for (const one of reference_list) {
    const key = buildKey(one)
    const group = groups.get(key)
    if (group) group.push(one)
    else groups.set(key, [one])
  }
  return [...groups.values()]
    .map(mergeReferences)
    .sort((one, other) => STATE_ORDER.indexOf(one.state) - STATE_ORDER.indexOf(other.state))
}

export function buildKey({ folder, name }: { folder: string | null; name: string }): string {
  return JSON.stringify([folder, name])
}

/** Merge references to one name: those that are required count, and of them the first that is not present. */
function mergeReferences(references: WorkflowReference[]): NamedModel {
  const required = references.filter(({ is_required }) => is_required)
  const [first] = (required.length > 0 ? required : references).toSorted(
    (one, other) => STATE_ORDER.indexOf(one.state) - STATE_ORDER.indexOf(other.state),
  ) as [WorkflowReference]
  return {
    folder: first.folder,
    name: first.name,
    state: first.state,
    modelId: first.model_id,
    suggestion: first.suggestion,
    reason: first.reason,
    url: references.find(({ url }) => url !== null)?.url ?? null,
    isRequired: required.length > 0,
    nodes: [...new Set(references.map(({ node_type, node_id }) => `${node_type} #${node_id}`))],
  }
}

/** `Names 3 models, the team lacks 1.` */
export function summarizeModels(models: NamedModel[]): string {
  if (models.length === 0) return 'Names no models.'
  const missing = models.filter((one) => one.isRequired && !isLoadable(one)).length
  const lacks = missing > 0 ? `the team lacks ${missing.toLocaleString('en')}` : 'the team has all that it requires'
  return `Names ${formatCount(models.length, 'model')}, ${lacks}.`
}

/** Return the models of the team that the required names in the workflow load, at their versions, each once. */
export function listCollectionModels({ reference_list }: WorkflowCheck): NewCollectionModel[] {
  const models = new Map<string, NewCollectionModel>()
  for (const one of reference_list) {
    const { model_id, version } = one
    if (one.is_required && isLoadable(one) && model_id !== null) models.set(model_id, { model_id, version })
  }
  return [...models.values()]
}

/** Return the required names for which the team has other content than the workflow declares, each once. */
export function listOtherContent({ reference_list }: WorkflowCheck): string[] {
  const names = reference_list.filter((one) => one.is_required && one.state === 'other_content').map(({ name }) => name)
  return [...new Set(names)]
}
