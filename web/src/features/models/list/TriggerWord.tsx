// The first trigger word of a model, as a button that copies it.

import { IconCheck, IconCopy } from '@tabler/icons-react'
import { useState } from 'react'
import { copyAndNotify } from '@/components/copyAndNotify'
import { isGuess, type TriggerWord as Word } from '@/components/triggerWord'
import classes from '@/features/models/list/gallery.module.css'

const SHOWN_MILLISECONDS = 1_500

export function TriggerWord({ word, tabIndex }: { word: Word; tabIndex: number }) {
  const [isCopied, setCopied] = useState(false)
  const onClick = async () => {
    setCopied(await copyAndNotify(word.text))
    setTimeout(() => setCopied(false), SHOWN_MILLISECONDS)
  }
  const Icon = isCopied ? IconCheck : IconCopy
  const isProbable = isGuess(word)
  return (
    <button
      type="button"
      className={classes.trigger}
      aria-label={`Copy trigger word ${word.text}${isProbable ? ', probably' : ''}`}
      title={isProbable ? `Probably a trigger word: ${word.text}` : word.text}
      tabIndex={tabIndex}
      onClick={() => void onClick()}
    >
      <bdi className={classes.word}>{word.text}</bdi>
      {isProbable && <span className={classes.guess}>?</span>}
      <Icon size={13} aria-hidden />
    </button>
  )
}
