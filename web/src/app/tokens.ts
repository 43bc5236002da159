// The colours of both schemes: palettes, Mantine's own variables, and those of the page (--yard-…).

import { DEFAULT_THEME, type MantineColorsTuple } from '@mantine/core'

/** Return Mantine's palette with readable shades for what is filled, and for text on light and dark backgrounds. */
function withReadable(name: 'red' | 'green' | 'orange' | 'yellow', onLight: string, onDark: string) {
  const palette: string[] = [...DEFAULT_THEME.colors[name]]
  for (const shade of [6, 7, 8, 9]) palette[shade] = onLight
  palette[4] = onDark
  return palette as unknown as MantineColorsTuple
}

export const COLORS: Record<string, MantineColorsTuple> = {
  yard: ['#e2f3f6', '#c5e6ec', '#a9dbe4', '#7fcbd9', '#5ecadc', '#2fa3b8', '#0e7a8e', '#0b7285', '#0a687a', '#095c6b'],
  dark: ['#e8ebed', '#c6ccd1', '#a5adb4', '#8f989f', '#3a4147', '#272c31', '#1d2125', '#131619', '#0e1113', '#090b0d'],
  red: withReadable('red', '#c4282d', '#ff8f8a'),
  green: withReadable('green', '#17784a', '#4cc38a'),
  orange: withReadable('orange', '#8a5300', '#f0b13c'),
  yellow: withReadable('yellow', '#8a5300', '#f0b13c'),
}

export const LIGHT_TOKENS = {
  '--mantine-color-text': '#171b1f',
  '--mantine-color-dimmed': '#555e67',
  '--mantine-color-placeholder': '#646d76',
  '--mantine-color-anchor': '#0a687a',
  '--mantine-color-error': '#c4282d',
  '--mantine-color-default-border': '#cfd4d9',
  '--mantine-color-default-hover': '#f0f2f4',
  '--mantine-color-yellow-light-color': '#8a5300',
  '--yard-canvas': '#f7f8f9',
  '--yard-hover': '#f0f2f4',
  '--yard-pressed': '#e6e9ec',
  '--yard-line': '#e3e6e9',
  '--yard-line-strong': '#cfd4d9',
  '--yard-control': '#7f8790',
  '--yard-faint': '#646d76',
  '--yard-accent': '#0b7285',
  '--yard-accent-text': '#0a687a',
  '--yard-soft': '#e2f3f6',
  '--yard-soft-line': '#a9dbe4',
  '--yard-ok': '#17784a',
  '--yard-ok-dot': '#2a9d66',
  '--yard-waiting': '#8a5300',
  '--yard-waiting-soft': '#fdf3e0',
  '--yard-problem': '#c4282d',
  '--yard-problem-soft': '#fdecec',
  '--yard-offline': '#646d76',
  '--yard-edge': 'rgb(0 0 0 / 7%)',
  '--yard-tint-share': '11%',
  '--yard-pop': '0 0 0 1px rgb(16 24 32 / 8%), 0 4px 12px rgb(16 24 32 / 8%), 0 16px 40px rgb(16 24 32 / 14%)',
}

export const DARK_TOKENS: Record<keyof typeof LIGHT_TOKENS, string> = {
  '--mantine-color-text': '#e8ebed',
  '--mantine-color-dimmed': '#a5adb4',
  '--mantine-color-placeholder': '#8f989f',
  '--mantine-color-anchor': '#5ecadc',
  '--mantine-color-error': '#ff8f8a',
  '--mantine-color-default-border': '#3a4147',
  '--mantine-color-default-hover': '#1d2125',
  '--mantine-color-yellow-light-color': '#f0b13c',
  '--yard-canvas': '#0e1113',
  '--yard-hover': '#1d2125',
  '--yard-pressed': '#262b30',
  '--yard-line': '#272c31',
  '--yard-line-strong': '#3a4147',
  '--yard-control': '#6a737b',
  '--yard-faint': '#8f989f',
  '--yard-accent': '#0e7a8e',
  '--yard-accent-text': '#5ecadc',
  '--yard-soft': '#12333a',
  '--yard-soft-line': '#1d5661',
  '--yard-ok': '#4cc38a',
  '--yard-ok-dot': '#3fb27d',
  '--yard-waiting': '#f0b13c',
  '--yard-waiting-soft': '#2e2412',
  '--yard-problem': '#ff8f8a',
  '--yard-problem-soft': '#351b1c',
  '--yard-offline': '#8f989f',
  '--yard-edge': 'rgb(255 255 255 / 7%)',
  '--yard-tint-share': '20%',
  '--yard-pop': '0 0 0 1px rgb(255 255 255 / 9%), 0 8px 24px rgb(0 0 0 / 50%), 0 24px 60px rgb(0 0 0 / 50%)',
}
