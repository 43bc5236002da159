// Copies text and says so.

import { copyText } from '@/components/copyText'
import { notify } from '@/components/notify'

/** Copy the text; returns whether it worked. */
export async function copyAndNotify(text: string): Promise<boolean> {
  const isDone = await copyText(text)
  notify(isDone ? `Copied ${text}` : 'Copying failed. Select the text and copy it.')
  return isDone
}
