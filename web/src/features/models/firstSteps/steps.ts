// The first steps of a team, and whether each is done, by what the registry has.

import { api, unwrap } from '@/api/client'
import type { Operation } from '@/api/permissions'
import { currentSession } from '@/api/session'
import { readStored, writeStored } from '@/components/storage'
import { MAX_PAGE_ROWS } from '@/generated/paging'

/** What the registry has that first steps lead to. */
export interface StepConditions {
  hasModel: boolean
  hasMachine: boolean
  isModelOnMachine: boolean
  /** Another member, or an invitation that is open. */
  hasColleague: boolean
}

export interface Step {
  label: string
  detail: string
  button: string
  to: '/upload' | '/machines' | '/team'
  condition: keyof StepConditions
  needs: Operation
}

export const STEPS: readonly Step[] = [
  {
    label: 'Upload a model',
    detail: 'Drop files or a whole ComfyUI models folder.',
    button: 'Upload models',
    to: '/upload',
    condition: 'hasModel',
    needs: 'models_upload',
  },
  {
    label: 'Pair a machine',
    detail: 'Run three commands next to ComfyUI. The machine keeps its models in sync with the team.',
    button: 'Pair machine',
    to: '/machines',
    condition: 'hasMachine',
    needs: 'pair',
  },
  {
    label: 'See a model on a machine',
    detail: 'The machine downloads and verifies the models by itself. Machines shows the progress.',
    button: 'Show machines',
    to: '/machines',
    condition: 'isModelOnMachine',
    needs: 'agents_list',
  },
  {
    label: 'Invite a colleague',
    detail: 'Create an invitation link for a person who needs the models.',
    button: 'Invite people',
    to: '/team',
    condition: 'hasColleague',
    needs: 'invite',
  },
]

/** Read what the registry has; what is `known` to be there already is not asked for again. */
export async function readConditions(
  known: StepConditions | undefined,
  mayInvite: boolean,
  signal: AbortSignal,
): Promise<StepConditions> {
  const [hasModel, machines, hasColleague] = await Promise.all([
    known?.hasModel || readHasModel(signal),
    known?.isModelOnMachine ? known : readMachines(signal),
    known?.hasColleague || (mayInvite && readHasColleague(signal)),
  ])
  return { hasModel, hasMachine: machines.hasMachine, isModelOnMachine: machines.isModelOnMachine, hasColleague }
}

async function readHasModel(signal: AbortSignal): Promise<boolean> {
  const query = { cursor: '', per_page: 1 }
  const models = await unwrap(api.GET('/api/v1/models', { params: { query }, signal }))
  return models.model_list.length > 0
}

async function readMachines(signal: AbortSignal): Promise<Pick<StepConditions, 'hasMachine' | 'isModelOnMachine'>> {
  const query = { cursor: '', per_page: MAX_PAGE_ROWS }
  const machines = await unwrap(api.GET('/api/v1/agents', { params: { query }, signal }))
  return {
    hasMachine: machines.agent_list.length > 0,
    isModelOnMachine: machines.agent_list.some(({ models_ready }) => models_ready > 0),
  }
}

async function readHasColleague(signal: AbortSignal): Promise<boolean> {
  const members = await unwrap(api.GET('/api/v1/members', { params: { query: { cursor: '', per_page: 2 } }, signal }))
  if (members.member_list.length > 1) return true
  const query = { cursor: '', per_page: 1 }
  const invitations = await unwrap(api.GET('/api/v1/invitations', { params: { query }, signal }))
  return invitations.invitation_list.length > 0
}

/** Return whether the person has finished or dismissed the first steps of this team in this browser. */
export function areStepsClosed(): boolean {
  return readStored(getStorageName()) !== undefined
}

export function closeSteps(): void {
  writeStored(getStorageName(), 'closed')
}

function getStorageName(): string {
  const session = currentSession()
  const owner = session.state === 'signed-in' ? `${session.me.id}.${session.team?.id}` : ''
  return `modelyard.first-steps.${owner}`
}
