// Whether single characters are keys of the page. People who use voice control turn them off (WCAG 2.1.4).

import type { KeyboardEvent as ReactKeyboardEvent } from 'react'

const STORAGE_NAME = 'modelyard.character-keys'

export function areKeysOn(): boolean {
  return localStorage.getItem(STORAGE_NAME) !== 'off'
}

export function setKeysOn(isOn: boolean): void {
  if (isOn) localStorage.removeItem(STORAGE_NAME)
  else localStorage.setItem(STORAGE_NAME, 'off')
}

const FIELDS = 'input:not([type=checkbox]), textarea, select, [contenteditable], [role=dialog], [role=menu]'

/** Return whether what is typed or pasted there is for a field, a dialog or a menu, and not for the page. */
export function isTyping(target: EventTarget | null): boolean {
  return target instanceof Element && target.closest(FIELDS) !== null
}

/** Return whether the event is a character that is typed into nothing; some layouts write it with AltGr or Option. */
export function isCharacterKey(event: KeyboardEvent | ReactKeyboardEvent, key: string): boolean {
  const isShortcut = event.metaKey || (event.ctrlKey && !event.altKey)
  if (event.key !== key || isShortcut || event.defaultPrevented) return false
  return !isTyping(event.target) && areKeysOn()
}
