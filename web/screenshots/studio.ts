// The team of the screenshots: models with pictures and trigger words, on three machines.

import { registerModel } from '../tests/modelFiles'
import { type Colour, drawPng } from '../tests/pictures'
import type { Registry } from '../tests/registry'
import { createMachines } from '../tests/sampleTeam'

interface Scene {
  sky: [above: Colour, below: Colour]
  sun: Colour
  hills: Colour
}

const MODELS: [path: string, name: string, base: string, triggers: string[], scene?: Scene][] = [
  ['vae/soft_vae', 'Soft VAE', 'SDXL 1.0', []],
  [
    'checkpoints/studio_base_xl',
    'Studio Base XL',
    'SDXL 1.0',
    [],
    {
      sky: [
        [20, 24, 60],
        [150, 90, 140],
      ],
      sun: [255, 214, 170],
      hills: [30, 22, 50],
    },
  ],
  [
    'loras/dune_light',
    'Dune Light',
    'Wan Video 2.2',
    ['dunelight'],
    {
      sky: [
        [250, 214, 150],
        [250, 236, 200],
      ],
      sun: [255, 250, 230],
      hills: [196, 112, 52],
    },
  ],
  [
    'loras/night_market',
    'Night Market',
    'SDXL 1.0',
    ['nghtmrkt'],
    {
      sky: [
        [12, 10, 40],
        [88, 30, 96],
      ],
      sun: [255, 96, 140],
      hills: [10, 8, 30],
    },
  ],
  [
    'loras/paper_cut',
    'Paper Cut Layers',
    'Illustrious',
    ['papercut layers'],
    {
      sky: [
        [252, 228, 196],
        [244, 180, 110],
      ],
      sun: [255, 244, 220],
      hills: [150, 40, 70],
    },
  ],
  [
    'loras/moss_stone',
    'Moss & Stone',
    'Flux.1 D',
    ['mosstone'],
    {
      sky: [
        [190, 214, 176],
        [120, 150, 110],
      ],
      sun: [240, 240, 200],
      hills: [40, 66, 44],
    },
  ],
  [
    'loras/kaori',
    'Kaori v3',
    'SDXL 1.0',
    ['kaori_char'],
    {
      sky: [
        [250, 190, 170],
        [236, 120, 120],
      ],
      sun: [255, 214, 90],
      hills: [70, 36, 80],
    },
  ],
  [
    'loras/styles/inkwash_v2',
    'Inkwash v2',
    'Pony',
    ['inkwsh', 'ink wash', 'sumi texture'],
    {
      sky: [
        [243, 239, 228],
        [230, 224, 210],
      ],
      sun: [196, 82, 66],
      hills: [58, 60, 62],
    },
  ],
]

/** Create the models, the last one newest, and the machines that hold them; the machines' first model is underway. */
export async function createStudio(registry: Registry): Promise<{ ids: string[] }> {
  const ids: string[] = []
  for (const [path, display_name, base_model, trigger_words, scene] of MODELS) {
    const facts = { display_name, tags: path.startsWith('loras') ? ['style'] : [] }
    const { id } = await registerModel(registry, `${path}.safetensors`, facts)
    await registry.call(registry.owner, 'PUT', `/models/${id}`, { base_model, trigger_words })
    const picture = scene && drawScene(scene, ids.length)
    if (picture) await registry.call(registry.owner, 'PUT', `/models/${id}/versions/1/preview`, picture)
    ids.push(id)
  }
  await createMachines(registry, ids)
  return { ids }
}

/** Draw a sun above five rows of hills, each darker than the one behind it; `seed` moves them. */
function drawScene({ sky, sun, hills }: Scene, seed: number, width = 416, height = 520): Buffer {
  const [sunX, sunY] = [width * (0.3 + ((seed * 37) % 40) / 100), height * 0.28]
  return drawPng(width, height, (x, y) => {
    const row = [0, 1, 2, 3, 4].findLast((place) => y > getHeight(x / width, place, seed) * height)
    if (row !== undefined) return mix(sky[1], hills, (row + 1) / 5)
    if (Math.hypot(x - sunX, y - sunY) < width * 0.12) return sun
    return mix(sky[0], sky[1], y / height)
  })
}

/** Return where a row of hills begins at `x` (0 to 1), as a part of the height from above. */
function getHeight(x: number, row: number, seed: number): number {
  const phase = seed * 1.7 + row * 2.3
  return 0.45 + row * 0.11 + 0.06 * Math.sin(5 * x + phase) + 0.025 * Math.sin(17 * x + 3 * phase)
}

function mix(from: Colour, to: Colour, share: number): Colour {
  const between = (one: number, other: number) => Math.round(one + (other - one) * share)
  return [between(from[0], to[0]), between(from[1], to[1]), between(from[2], to[2])]
}
