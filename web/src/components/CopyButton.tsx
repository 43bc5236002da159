// Copies to the clipboard, also on plain http, where browsers do not offer the clipboard API.

import { ActionIcon, Tooltip } from '@mantine/core'
import { IconCheck, IconCopy } from '@tabler/icons-react'
import { useState } from 'react'
import { notify } from '@/components/notify'

const SHOWN_MILLISECONDS = 1500

export function CopyButton({ text, what }: { text: string; what: string }) {
  const [isCopied, setCopied] = useState(false)
  const label = isCopied ? 'Copied' : `Copy ${what}`
  const onClick = async () => {
    const isDone = await copyText(text)
    setCopied(isDone)
    if (!isDone) notify('Copying failed. Select the text and copy it.')
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

/** Copy the text; returns whether it worked. */
async function copyText(text: string): Promise<boolean> {
  if (navigator.clipboard) {
    return navigator.clipboard.writeText(text).then(
      () => true,
      () => copyBySelection(text),
    )
  }
  return copyBySelection(text)
}

function copyBySelection(text: string): boolean {
  const field = document.createElement('textarea')
  field.value = text
  field.readOnly = true
  // Append inside the open dialog, because its focus trap would otherwise remove the selection.
  const place = document.activeElement?.closest('[role=dialog]') ?? document.body
  const focused = document.activeElement
  place.append(field)
  field.select()
  const isCopied = document.execCommand('copy')
  field.remove()
  if (focused instanceof HTMLElement) focused.focus()
  return isCopied
}
