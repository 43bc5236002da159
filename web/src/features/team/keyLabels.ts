// Labels of key kinds, and commands to paste after creating a key.

import type { Credential } from '@/api/types'

export const KIND_LABELS: Record<Credential['kind'], string> = {
  integration: 'Integration',
  agent: 'Agent',
  device: 'Device',
}

/** How soon a revoked key or a removed member is refused; docs/admin.md promises it. */
export const REVOCATION_DELAY = 'five seconds'

/** What revoking a key of each kind does. */
export const REVOKE_EFFECTS: Record<Credential['kind'], string> = {
  integration: `Programs that use it are refused within ${REVOCATION_DELAY}.`,
  agent: `Machines that use it stop fetching within ${REVOCATION_DELAY}; the models that they hold stay there.`,
  device: `Its command line is signed out within ${REVOCATION_DELAY}, and the key of the machine paired with it ends too.`,
}

interface Command {
  label: string
  text: string
}

/** Commands to paste in a terminal, with the registry's URL and the key. */
export function commandsFor(kind: Credential['kind'], access: Credential['access'], key: string): Command[] {
  const url = window.location.origin
  if (kind === 'agent') {
    const environment = `MODELYARD_AGENT_URL=${url} MODELYARD_AGENT_KEY=${key}`
    return [{ label: 'On the machine', text: `${environment} modelyard agent run --comfyui ~/ComfyUI` }]
  }
  const work = access === 'write' ? 'push ./loras' : 'ls'
  return [
    { label: 'Command line', text: `MODELYARD_URL=${url} MODELYARD_TOKEN=${key} modelyard ${work}` },
    { label: 'curl', text: `curl -H 'Authorization: Bearer ${key}' ${url}/api/v1/models` },
  ]
}
