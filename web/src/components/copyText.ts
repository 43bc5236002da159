// Copies to the clipboard, also on plain http, where browsers do not offer the clipboard API.

/** Copy the text; returns whether it worked. */
export async function copyText(text: string): Promise<boolean> {
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
