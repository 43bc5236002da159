// A sample team: models of several types, an invitation, a key, a collection, and machines that are ready, downloading and waiting.

import { buildSafetensors, registerModel } from './modelFiles'
import type { Registry } from './registry'

/** Transforms every name and description of the sample team; tests replace them with hostile text. */
export interface TextTransform {
  name(plain: string): string
}

/** Remove text direction marks, which names may not contain. */
export function removeDirectionMarks(text: string): string {
  return text.replace(/[\u200e\u200f\u202a-\u202e\u2066-\u2069]/g, '')
}

const PLAIN: TextTransform = { name: (plain) => plain }

const MODELS: [path: string, name: string, size: number, facts: object][] = [
  ['checkpoints/ink_base.safetensors', 'Ink base', 900_000, { tags: ['sdxl', 'base'], license: 'CC-BY-4.0' }],
  ['loras/portraits/ink_lines.safetensors', 'Ink lines', 180_000, { tags: ['portrait', 'sdxl'] }],
  ['loras/ink_wash.safetensors', 'Ink wash', 240_000, { tags: ['sdxl'], required_labels: ['gpu24'] }],
  ['loras/paper_grain.safetensors', 'Paper grain', 120_000, {}],
  ['vae/soft_vae.safetensors', 'Soft VAE', 300_000, { tags: ['sdxl'] }],
  ['controlnet/scribble_xl.safetensors', 'Scribble XL', 500_000, { tags: ['sdxl', 'control'] }],
  ['upscale_models/print_4x.safetensors', 'Print 4x', 60_000, {}],
]

/** Create the models, invitation, key, machines and collection of the sample team. */
export async function createSampleTeam(
  registry: Registry,
  words: TextTransform = PLAIN,
): Promise<{ ids: string[]; collection: string }> {
  const ids: string[] = []
  for (const [path, name, size, facts] of MODELS) {
    const bytes = buildSafetensors(size, {
      'modelspec.title': words.name(name),
      'modelspec.architecture': 'stable-diffusion-xl-v1-base',
    })
    const display_name = removeDirectionMarks(words.name(name))
    const noted = { display_name, description: words.name(`${name}, for the autumn book.`), ...facts }
    ids.push((await registerModel(registry, path, { bytes, ...noted })).id)
  }
  await registry.call(registry.owner, 'PUT', `/models/${ids[3]}`, { model_status: 'disabled' })
  const gone = await registerModel(registry, 'loras/old_try.safetensors', {
    display_name: removeDirectionMarks(words.name('Old try')),
  })
  await registry.call(registry.owner, 'DELETE', `/models/${gone.id}`)
  await registry.call(registry.owner, 'POST', '/invitations', {
    email_address: 'grace@studio.test',
    invitation_role: 'member',
  })
  await registry.call(registry.owner, 'POST', '/credentials', {
    kind: 'integration',
    display_name: removeDirectionMarks(words.name('nightly training')),
  })
  await createMachines(
    registry,
    ids.filter((_, place) => place !== 3),
    words,
  )
  const { id: collection } = await registry.call<{ id: string }>(registry.owner, 'POST', '/collections', {
    name: removeDirectionMarks(words.name('Autumn book')),
    note: words.name('All pages of the autumn book.'),
    model_list: ids.map((model_id) => ({ model_id })),
  })
  return { ids, collection }
}

/** Create three machines: one with all of these models, one that downloads the first, one that waits for it. */
export async function createMachines(registry: Registry, ids: string[], words: TextTransform = PLAIN): Promise<void> {
  const { raw_key: key } = await registry.call<{ raw_key: string }>(registry.owner, 'POST', '/credentials', {
    kind: 'agent',
    display_name: removeDirectionMarks(words.name('render farm')),
  })
  const here = [...ids].sort()
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
  await heartbeat(registry, key, 'render-03', here, 'queued', {
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
