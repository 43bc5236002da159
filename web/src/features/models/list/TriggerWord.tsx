// The first trigger word of a model, as a button that copies it.

import { IconCheck, IconCopy } from '@tabler/icons-react'
import { useState } from 'react'
import type { Model } from '@/api/types'
import { copyAndNotify } from '@/components/copyAndNotify'
import classes from '@/features/models/list/gallery.module.css'

const SHOWN_MILLISECONDS = 1_500

export function TriggerWord({ word, tabIndex }: { word: Model['trigger_words'][number]; tabIndex: number }) {
  const [isCopied, setCopied] = useState(false)
  const onClick = async () => {
    setCopied(await copyAndNotify(word.text))
    setTimeout(() => setCopied(false), SHOWN_MILLISECONDS)
  }
  const Icon = isCopied ? IconCheck : IconCopy
  const isGuess = word.source === 'guess'
  return (
    <button
      type="button"
      className={classes.trigger}
      aria-label={`Copy trigger word ${word.text}${isGuess ? ', probably' : ''}`}
      title={isGuess ? `Probably a trigger word: ${word.text}` : word.text}
      tabIndex={tabIndex}
      onClick={() => void onClick()}
    >
      <bdi className={classes.word}>{word.text}</bdi>
      <Icon size={13} aria-hidden />
    </button>
  )
}
