// The theme. Text colours have a contrast of 4.5 on light and dark backgrounds (WCAG 2.2 AA).

import { type CSSVariablesResolver, createTheme } from '@mantine/core'

// The header of a dialog must not be a second banner landmark of the page.
const dialog = { closeButtonProps: { 'aria-label': 'Close' }, attributes: { header: { role: 'none' } } }

const named = { closeButtonProps: { 'aria-label': 'Close' } }

export const theme = createTheme({
  primaryColor: 'cyan',
  primaryShade: { light: 9, dark: 9 },
  autoContrast: true,
  defaultRadius: 'md',
  fontFamily: 'system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif',
  fontFamilyMonospace: 'ui-monospace, SFMono-Regular, Menlo, Consolas, monospace',
  respectReducedMotion: true,
  cursorType: 'pointer',
  components: {
    Modal: { defaultProps: dialog },
    Drawer: { defaultProps: dialog },
    Notification: { defaultProps: named },
  },
})

// Mantine's own hover colour is lighter and its text has too little contrast.
const HOVER = { '--mantine-color-cyan-filled-hover': '#095c6f' }

export const variables: CSSVariablesResolver = () => ({
  variables: {},
  light: {
    ...HOVER,
    '--mantine-color-dimmed': '#596067',
    '--mantine-color-error': '#c92a2a',
    '--mantine-color-yellow-light-color': '#8a5300',
  },
  dark: { ...HOVER, '--mantine-color-dimmed': '#a6a7ab', '--mantine-color-error': '#ff8787' },
})

/** Return the nonce of this page load, which Mantine needs to add style elements. */
export function styleNonce(): string {
  return document.querySelector<HTMLMetaElement>('meta[property=csp-nonce]')?.nonce ?? ''
}

// Open dialogs lock scrolling with a style of a library that reads the nonce only from this variable.
Object.assign(globalThis, { __webpack_nonce__: styleNonce() })
