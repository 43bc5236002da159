// Copying to the clipboard, also on plain http, where a browser gives a page no clipboard of its own.

import { ActionIcon, Tooltip } from '@mantine/core'
import { IconCheck, IconCopy } from '@tabler/icons-react'
import { useState } from 'react'
import { said } from '@/parts/notify'

const SHOWN_MILLISECONDS = 1500

export function CopyButton({ text, what }: { text: string; what: string }) {
  const [isCopied, setCopied] = useState(false)
  const label = isCopied ? 'Copied' : `Copy ${what}`
  const onClick = async () => {
    const isDone = await copied(text)
    setCopied(isDone)
    if (!isDone) said('It could not be copied: select it and copy it yourself.')
    setTimeout(() => setCopied(false), SHOWN_MILLISECONDS)
  }
  return (
    <Tooltip label={label}>
      <ActionIcon variant="subtle" color="gray" size="sm" aria-label={label} onClick={() => void onClick()}>
        {isCopied ? <IconCheck size={16} /> : <IconCopy size={16} />}
      </ActionIcon>
    </Tooltip>
  )
}

/** Whether the text is on the clipboard now. */
async function copied(text: string): Promise<boolean> {
  if (navigator.clipboard) {
    return navigator.clipboard.writeText(text).then(
      () => true,
      () => copiedBySelecting(text),
    )
  }
  return copiedBySelecting(text)
}

function copiedBySelecting(text: string): boolean {
  const field = document.createElement('textarea')
  field.value = text
  field.readOnly = true
  // Inside an open dialog, or its focus trap would take the selection away.
  const place = document.activeElement?.closest('[role=dialog]') ?? document.body
  const focused = document.activeElement
  place.append(field)
  field.select()
  const isCopied = document.execCommand('copy')
  field.remove()
  if (focused instanceof HTMLElement) focused.focus()
  return isCopied
}
