// A trigger word in words: whether it is only guessed.

import type { Model } from '@/api/types'

export type TriggerWord = Model['trigger_words'][number]

export function isGuess({ source }: TriggerWord): boolean {
  return source === 'guess'
}

/** `probably inkwash` for a guess, and nothing without a word. The mark comes first: it is not cut. */
export function formatTriggerWord(word: TriggerWord | undefined): string {
  return word ? [isGuess(word) && 'probably', word.text].filter(Boolean).join(' ') : ''
}
