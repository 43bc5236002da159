// A word that copies itself when it is pressed, such as a trigger word.

import { IconCheck, IconCopy } from '@tabler/icons-react'
import { type ReactNode, useState } from 'react'
import classes from '@/components/CopyChip.module.css'
import { copyText } from '@/components/copyText'
import { notify } from '@/components/notify'

const SHOWN_MILLISECONDS = 1500

interface CopyChipProps {
  text: string
  /** What the button shows, if not the text itself. */
  children?: ReactNode
  /** Without a background, as a link. */
  isPlain?: boolean
}

export function CopyChip({ text, children, isPlain = false }: CopyChipProps) {
  const [isCopied, setCopied] = useState(false)
  const onClick = async () => {
    const isDone = await copyText(text)
    notify(isDone ? `Copied ${text}` : 'Copying failed. Select the text and copy it.')
    setCopied(isDone)
    setTimeout(() => setCopied(false), SHOWN_MILLISECONDS)
  }
  const Icon = isCopied ? IconCheck : IconCopy
  return (
    <button
      type="button"
      className={isPlain ? classes.plain : classes.chip}
      aria-label={isPlain ? undefined : `Copy ${text}`}
      onClick={() => void onClick()}
    >
      <span className={classes.text}>{children ?? <bdi>{text}</bdi>}</span>
      {!isPlain && <Icon size={13} aria-hidden className={classes.icon} />}
    </button>
  )
}
