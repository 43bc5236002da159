// The page brings the styles of the components that it uses, and no others: half of Mantine's would be for nothing.

import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from '@playwright/test'

const WEB = join(import.meta.dirname, '..')
const STYLES = join(WEB, 'node_modules/@mantine/core/styles')

test('every component that the page uses has its styles', () => {
  const brought = readFileSync(join(WEB, 'src/app/styles.css'), 'utf8')
  const missing = [...used()].filter(
    (name) => existsSync(join(STYLES, `${name}.css`)) && !brought.includes(`/${name}.css"`),
  )
  expect(missing).toEqual([])
})

test('the styles stand in the order in which Mantine has them', () => {
  const whole = readFileSync(join(STYLES, '../styles.css'), 'utf8')
  const brought = readFileSync(join(WEB, 'src/app/styles.css'), 'utf8').matchAll(/core\/styles\/(.+)\.css"/g)
  const places = [...brought].map(([, name]) =>
    whole.indexOf(readFileSync(join(STYLES, `${name}.css`), 'utf8').slice(0, 200)),
  )
  expect(places).not.toContain(-1)
  expect(places).toEqual([...places].sort((one, other) => one - other))
})

function used(): Set<string> {
  const files = readdirSync(join(WEB, 'src'), { recursive: true, encoding: 'utf8' }).filter((name) =>
    name.endsWith('.tsx'),
  )
  const imports = files.flatMap((name) => [
    ...readFileSync(join(WEB, 'src', name), 'utf8').matchAll(/import \{([^}]*)\} from '@mantine\/core'/g),
  ])
  return new Set(imports.flatMap(([, names]) => names?.split(',').map((name) => name.trim()) ?? []))
}
