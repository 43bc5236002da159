// The page's looks, in one place. Colours of text are chosen for a contrast of 4.5 on both grounds (WCAG 2.2 AA).

import { type CSSVariablesResolver, createTheme } from '@mantine/core'

// The head of a dialog is no second banner of the page.
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

// Mantine lightens a button under the pointer, and its text could not be read as well.
const HOVER = { '--mantine-color-cyan-filled-hover': '#095c6f' }

export const variables: CSSVariablesResolver = () => ({
  variables: {},
  light: { ...HOVER, '--mantine-color-dimmed': '#596067', '--mantine-color-error': '#c92a2a' },
  dark: { ...HOVER, '--mantine-color-dimmed': '#a6a7ab', '--mantine-color-error': '#ff8787' },
})

/** The nonce of this answer, under which Mantine may add a style element. */
export function styleNonce(): string {
  return document.querySelector<HTMLMetaElement>('meta[property=csp-nonce]')?.nonce ?? ''
}

// Open dialogs hold the page behind them still, by a style of a library that asks for the nonce here and nowhere else.
Object.assign(globalThis, { __webpack_nonce__: styleNonce() })
