// A team as one finds it after a few weeks: models of several types, people, keys, machines that hold, fetch and wait.

import { registered, safetensors } from './files'
import type { Registry } from './registry'

/** What every name and note of the studio is made from; hostile tests put other words in. */
export interface Words {
  name(plain: string): string
}

const PLAIN: Words = { name: (plain) => plain }

const MODELS: [path: string, name: string, size: number, facts: object][] = [
  ['checkpoints/ink_base.safetensors', 'Ink base', 900_000, { tags: ['sdxl', 'base'], license: 'CC-BY-4.0' }],
  ['loras/portraits/ink_lines.safetensors', 'Ink lines', 180_000, { tags: ['portrait', 'sdxl'] }],
  ['loras/ink_wash.safetensors', 'Ink wash', 240_000, { tags: ['sdxl'], required_labels: ['gpu24'] }],
  ['loras/paper_grain.safetensors', 'Paper grain', 120_000, {}],
  ['vae/soft_vae.safetensors', 'Soft VAE', 300_000, { tags: ['sdxl'] }],
  ['controlnet/scribble_xl.safetensors', 'Scribble XL', 500_000, { tags: ['sdxl', 'control'] }],
  ['upscale_models/print_4x.safetensors', 'Print 4x', 60_000, {}],
]

/** Fill a registry. Machines speak here in their own words, as heartbeats of real agents do. */
export async function furnish(registry: Registry, words: Words = PLAIN): Promise<{ ids: string[] }> {
  const ids: string[] = []
  for (const [path, name, size, facts] of MODELS) {
    const bytes = safetensors(size, {
      'modelspec.title': words.name(name),
      'modelspec.architecture': 'stable-diffusion-xl-v1-base',
    })
    const noted = { display_name: words.name(name), description: words.name(`${name}, for the autumn book.`), ...facts }
    ids.push((await registered(registry, path, { bytes, ...noted })).id)
  }
  await registry.call(registry.owner, 'PUT', `/models/${ids[3]}`, { model_status: 'disabled' })
  const gone = await registered(registry, 'loras/old_try.safetensors', { display_name: words.name('Old try') })
  await registry.call(registry.owner, 'DELETE', `/models/${gone.id}`)
  await registry.call(registry.owner, 'POST', '/invitations', {
    email_address: 'grace@studio.test',
    invitation_role: 'member',
  })
  await registry.call(registry.owner, 'POST', '/credentials', {
    kind: 'integration',
    display_name: words.name('nightly training'),
  })
  await machines(registry, ids, words)
  return { ids }
}

async function machines(registry: Registry, ids: string[], words: Words): Promise<void> {
  const { raw_key: key } = await registry.call<{ raw_key: string }>(registry.owner, 'POST', '/credentials', {
    kind: 'agent',
    display_name: words.name('render farm'),
  })
  const here = ids.filter((_, place) => place !== 3).sort()
  await heartbeat(registry, key, 'render-01', here, 'ready', { agent_labels: ['gpu24'], disk_free: 1.2e12 })
  await heartbeat(registry, key, 'render-02', here, 'downloading', {
    agent_status: 'syncing',
    sync_phase: 'downloading',
    sync_detail: words.name('loras/ink_wash.safetensors'),
    sync_percent: 42,
    agent_labels: ['gpu24', 'studio-north'],
    disk_free: 8e10,
    disk_budget: 2e11,
  })
  await heartbeat(registry, key, 'render-03', here, 'wanted', {
    sync_phase: 'waiting',
    waiting_for: words.name('Downloads start at 22:00.'),
    disk_free: 3e11,
  })
}

async function heartbeat(
  registry: Registry,
  key: string,
  agent_id: string,
  ids: string[],
  last: string,
  facts: object,
): Promise<void> {
  const model_list = ids.map((model_id, place) => {
    const state = place === 0 ? last : 'ready'
    return { model_id, state, bytes_done: state === 'ready' ? 180_000 : 75_000 }
  })
  const body = {
    agent_id,
    agent_version: '0.3.0',
    comfyui_version: '0.3.64',
    platform_arch: 'linux-x86_64',
    bytes_held: 2_300_000,
    report_series: 'a',
    report_number: 1,
    is_whole: true,
    is_last: true,
    model_list,
    ...facts,
  }
  const answer = await fetch(`${registry.url}/api/v1/agent/heartbeat`, {
    method: 'POST',
    headers: { Authorization: `Bearer ${key}`, 'Content-Type': 'application/json' },
    body: JSON.stringify(body),
  })
  if (!answer.ok) throw new Error(`heartbeat: ${answer.status} ${await answer.text()}`)
}
