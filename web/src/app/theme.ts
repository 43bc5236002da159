// The theme. Text colours have a contrast of 4.5 on light and dark backgrounds (WCAG 2.2 AA).

import {
  type ActionIcon,
  type Button,
  type CSSVariablesResolver,
  createTheme,
  type Input,
  type MantineThemeComponents,
  rem,
} from '@mantine/core'
import { COLORS, DARK_TOKENS, LIGHT_TOKENS } from '@/app/tokens'

// The header of a dialog must not be a second banner landmark of the page.
const dialog = { closeButtonProps: { 'aria-label': 'Close' }, attributes: { header: { role: 'none' } } }

const named = { closeButtonProps: { 'aria-label': 'Close' } }

// Controls are 32 px high, and 40 px where a finger presses them; page.css sets the variables.
const HEIGHTS: Record<string, string> = {
  sm: 'var(--control-height)',
  lg: 'var(--control-height)',
  'compact-sm': 'var(--control-height-small)',
}

function heightOf(size: unknown, byDefault?: string): string | undefined {
  return HEIGHTS[String(size ?? byDefault)]
}

const components: MantineThemeComponents = {
  Modal: { defaultProps: dialog },
  Drawer: { defaultProps: dialog },
  Notification: { defaultProps: named },
  Button: {
    vars: (_theme: unknown, { size }: Parameters<typeof Button>[0]) => ({
      root: height('--button-height', size, 'sm'),
    }),
  },
  ActionIcon: {
    vars: (_theme: unknown, { size }: Parameters<typeof ActionIcon>[0]) => ({ root: height('--ai-size', size) }),
  },
  Input: {
    vars: (_theme: unknown, { size }: Parameters<typeof Input>[0]) => ({
      wrapper: height('--input-height', size, 'sm'),
    }),
  },
}

function height(name: string, size: unknown, byDefault?: string): Record<string, string> {
  const value = heightOf(size, byDefault)
  return value ? { [name]: value } : {}
}

export const theme = createTheme({
  colors: COLORS,
  primaryColor: 'yard',
  primaryShade: { light: 7, dark: 6 },
  black: '#171b1f',
  autoContrast: true,
  spacing: { xs: rem(8), sm: rem(12), md: rem(16), lg: rem(24), xl: rem(32) },
  radius: { xs: rem(4), sm: rem(6), md: rem(10), lg: rem(10), xl: rem(16) },
  defaultRadius: 'sm',
  fontSizes: { xs: rem(11), sm: rem(12), md: rem(13), lg: rem(15), xl: rem(20) },
  lineHeights: { xs: '1.4', sm: '1.45', md: '1.54', lg: '1.5', xl: '1.4' },
  headings: {
    fontWeight: '600',
    sizes: {
      h1: { fontSize: rem(20), lineHeight: '1.4' },
      h2: { fontSize: rem(15), lineHeight: '1.5' },
      h3: { fontSize: rem(15), lineHeight: '1.5' },
      h4: { fontSize: rem(13), lineHeight: '1.54' },
    },
  },
  fontFamily: 'system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif',
  fontFamilyMonospace: 'ui-monospace, SFMono-Regular, Menlo, Consolas, "Liberation Mono", monospace',
  respectReducedMotion: true,
  cursorType: 'pointer',
  components,
})

export const variables: CSSVariablesResolver = () => ({ variables: {}, light: LIGHT_TOKENS, dark: DARK_TOKENS })

/** Return the nonce of this page load, which Mantine needs to add style elements. */
export function styleNonce(): string {
  return document.querySelector<HTMLMetaElement>('meta[property=csp-nonce]')?.nonce ?? ''
}

// Open dialogs lock scrolling with a style of a library that reads the nonce only from this variable.
Object.assign(globalThis, { __webpack_nonce__: styleNonce() })
