// A button that copies text.

import { ActionIcon, Tooltip } from '@mantine/core'
import { IconCheck, IconCopy } from '@tabler/icons-react'
import { useState } from 'react'
import { copyText } from '@/components/copyText'
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
