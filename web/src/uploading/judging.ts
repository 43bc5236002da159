// What would be refused of a list of drafts, and why: everything that can be known before the first byte.

import type { Team } from '@/api/types'
import { checkedPath } from '@/uploading/paths'
import { PICKLES, suffixOf, typeOf, UNFIT, unfitness } from '@/uploading/placing'
import { type Item, isGoing } from '@/uploading/state'

export interface Verdict {
  /** Only what is fine is sent. `asks`: the person has to decide something. */
  kind: 'reading' | 'fine' | 'asks' | 'refused'
  text: string
  /** A path that would do. */
  suggestion?: string | undefined
}

/** A verdict for each draft, by its id. */
export function judged(items: readonly Item[], team: Team | undefined): Map<number, Verdict> {
  const taken = new Map<string, Item>()
  for (const one of items) if (isGoing(one) || one.stage === 'paused') taken.set(keyOf(one) ?? '', one)
  const verdicts = new Map<number, Verdict>()
  for (const one of items) {
    if (one.stage !== 'reading' && one.stage !== 'draft') continue
    const key = keyOf(one)
    const twin = key === undefined ? undefined : taken.get(key)
    if (key !== undefined && !one.refusal) taken.set(key, twin ?? one)
    verdicts.set(one.id, verdict(one, twin, team))
  }
  return verdicts
}

function verdict(one: Item, twin: Item | undefined, team: Team | undefined): Verdict {
  if (one.stage === 'reading') return { kind: 'reading', text: 'Looking at the file…' }
  const refusal = one.refusal ?? pickleRefusal(one, team)
  if (refusal) return { kind: 'refused', text: refusal }
  if (!typeOf(one.path)) return { kind: 'asks', text: 'What kind of model is it? Choose its type.' }
  const unfit = unfitness(one.path)
  if (unfit) return unfitVerdict(one, unfit.why, unfit.suggestion)
  if (suffixOf(one.path) !== suffixOf(one.file.name)) {
    return { kind: 'refused', text: `The path has to end as the file does, in '${suffixOf(one.file.name)}'.` }
  }
  if (twin)
    return { kind: 'refused', text: `'${plain(twin.around)}' would be the same model. Give one of them another path.` }
  if (one.holder && one.replaces !== one.holder.id) return heldVerdict(one)
  if (one.holder) return { kind: 'fine', text: 'Takes the place of the model that is there now.' }
  if (one.isBegun) return { kind: 'fine', text: 'It was begun before, and goes on where it stopped.' }
  return { kind: 'fine', text: '' }
}

function unfitVerdict(one: Item, why: string, suggestion: string | undefined): Verdict {
  if (!suggestion) return { kind: 'asks', text: why }
  const letters = [...new Set(one.path.match(UNFIT)?.join(''))].map(visible).join(' ')
  const reason = letters ? `Not every machine can hold a name with ${letters}` : why.replace(/\.$/, '')
  const text = `${reason}. Workflows that name '${plain(one.file.name)}' have to be told of the new name.`
  return { kind: 'asks', text, suggestion }
}

/** A character that nobody sees, or that turns the text around it, by its number. */
function visible(letter: string): string {
  const code = letter.codePointAt(0)?.toString(16).toUpperCase().padStart(4, '0')
  return /[\p{C}\p{Z}\p{M}]/u.test(letter) ? `U+${code}` : letter
}

/** A name inside a sentence must not turn the sentence around. */
function plain(name: string): string {
  return name.replace(/\p{C}/gu, '\ufffd')
}

function heldVerdict(one: Item): Verdict {
  if (one.hash === undefined && one.holder?.file_size === one.file.size) {
    return {
      kind: 'reading',
      text: 'A model of this size is at this path. Reading the file to see whether it is the same…',
    }
  }
  return { kind: 'asks', text: 'Other bytes are at this path.', suggestion: one.freePath }
}

function pickleRefusal({ file }: Item, team: Team | undefined): string | undefined {
  if (team?.pickle_policy !== 'block' || !PICKLES.has(suffixOf(file.name))) return undefined
  return (
    "This is a pickle file, and such files can run code on every machine that loads them; this team's setting " +
    "'pickle_policy' is 'block'. Convert it to .safetensors, or let an admin of the team set it to 'scan'."
  )
}

/** What does not fit the team's quota any more, in words. */
export function quotaRefusal(drafts: readonly Item[], team: Team | undefined, words: (count: number) => string) {
  if (team?.quota_bytes === null || team?.quota_bytes === undefined) return undefined
  const room = Math.max(0, team.quota_bytes - team.stored_bytes)
  const wanted = drafts.reduce((sum, one) => sum + one.file.size, 0)
  if (wanted <= room) return undefined
  return `The team may store ${words(team.quota_bytes)} and has room for ${words(room)}; these files have ${words(wanted)}.`
}

function keyOf({ path }: Item): string | undefined {
  return typeOf(path) && !unfitness(path) ? checkedPath(typeOf(path), path).key : undefined
}
