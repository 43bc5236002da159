// The requests that check and rewrite a workflow file; the check is repeated while a machine gets the models.

import { type UseQueryResult, useQuery } from '@tanstack/react-query'
import { api, unwrap } from '@/api/client'
import { Problem } from '@/api/problem'
import type { WorkflowCheck } from '@/api/types'
import type { WorkflowFile } from '@/features/workflows/workflowFiles'
import { MAX_WORKFLOW_BYTES } from '@/generated/fieldLimits'
import type { operations } from '@/generated/schema'

export const REPEAT_SECONDS = 10
export const MAX_MEBIBYTES = MAX_WORKFLOW_BYTES / 1024 ** 2

/** The contents of the files as they were chosen: ComfyUI may write another file of the same name meanwhile. */
const contents = new WeakMap<File, Promise<Blob>>()

/** Check a file. The check is repeated while a machine is getting the models, but not in a hidden tab. */
export function useWorkflowCheck({ id, file }: WorkflowFile): UseQueryResult<WorkflowCheck> {
  return useQuery({
    queryKey: ['workflow checks', id],
    queryFn: ({ signal }) => runInTurn(() => checkWorkflow(file, signal)),
    refetchInterval: ({ state }) => (isAwaited(state.data) ? REPEAT_SECONDS * 1_000 : false),
    refetchOnWindowFocus: false,
  })
}

/** Return whether a machine is getting the models that it lacks. */
export function isAwaited(check: WorkflowCheck | undefined): boolean {
  return check?.machine_list.some(({ readiness }) => readiness === 'soon') ?? false
}

/** Of a copy: the system whose slash is between folders. */
export type Slashes = NonNullable<NonNullable<operations['rewrite_workflow']['parameters']['query']>['slashes']>

/** Return a copy of the workflow with the names that the team's files have. */
export function rewriteWorkflow(file: File, slashes: Slashes | undefined): Promise<Blob> {
  return runInTurn(async () => {
    const options = {
      ...(await buildBody(file)),
      params: { query: slashes ? { slashes } : {} },
      parseAs: 'blob',
    } as const
    return unwrap(api.POST('/api/v1/workflows/rewrite', options))
  })
}

async function checkWorkflow(file: File, signal: AbortSignal): Promise<WorkflowCheck> {
  if (file.size > MAX_WORKFLOW_BYTES) {
    throw buildFileProblem('too-large', `It is larger than ${MAX_MEBIBYTES} MiB.`)
  }
  return unwrap(api.POST('/api/v1/workflows/check', { ...(await buildBody(file)), signal }))
}

/** Build the options of a request with a file as its body. */
async function buildBody(file: File) {
  return {
    // The generated type of a binary body is text.
    body: (await readContent(file)) as unknown as string,
    bodySerializer: (body: unknown) => body as BodyInit,
    headers: { 'Content-Type': 'application/octet-stream' },
  }
}

function readContent(file: File): Promise<Blob> {
  const known = contents.get(file)
  if (known) return known
  const reading = file.arrayBuffer().then(
    (bytes) => new Blob([bytes]),
    () => {
      contents.delete(file)
      throw buildFileProblem('unreadable', 'It was moved, changed or deleted. Choose it again.')
    },
  )
  contents.set(file, reading)
  return reading
}

function buildFileProblem(code: string, detail: string): Problem {
  return new Problem({
    type: `/problems/workflow-file-${code}`,
    title: 'The file cannot be checked',
    status: 422,
    detail,
    error_message: '',
    error_code: code,
    request_id: null,
    errors: null,
  })
}

let last: Promise<unknown> = Promise.resolve()

/** Run one check at a time: the registry reads one file of a team at a time, and refuses others after a while. */
function runInTurn<Result>(work: () => Promise<Result>): Promise<Result> {
  const result = last.then(work)
  last = result.catch(() => undefined)
  return result
}
