// The page imports the styles of the Mantine components that it uses only, as about half are not needed.

import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from '@playwright/test'

const WEB = join(import.meta.dirname, '..')
const STYLES = join(WEB, 'node_modules/@mantine/core/styles')

test('the styles of every used Mantine component are imported', { tag: '@core' }, () => {
  const imported = readFileSync(join(WEB, 'src/app/styles.css'), 'utf8')
  const missing = [...findUsedComponents()].filter(
    (name) => existsSync(join(STYLES, `${name}.css`)) && !imported.includes(`/${name}.css"`),
  )
  expect(missing).toEqual([])
})

test("the component styles are imported in the order of Mantine's own style sheet", { tag: '@core' }, () => {
  const allStyles = readFileSync(join(STYLES, '../styles.css'), 'utf8')
  const imported = readFileSync(join(WEB, 'src/app/styles.css'), 'utf8').matchAll(/core\/styles\/(.+)\.css"/g)
  const positions = [...imported].map(([, name]) =>
    allStyles.indexOf(readFileSync(join(STYLES, `${name}.css`), 'utf8').slice(0, 200)),
  )
  expect(positions).not.toContain(-1)
  expect(positions).toEqual([...positions].sort((one, other) => one - other))
})

function findUsedComponents(): Set<string> {
  const files = readdirSync(join(WEB, 'src'), { recursive: true, encoding: 'utf8' }).filter((name) =>
    name.endsWith('.tsx'),
  )
  const imports = files.flatMap((name) => [
    ...readFileSync(join(WEB, 'src', name), 'utf8').matchAll(/import \{([^}]*)\} from '@mantine\/core'/g),
  ])
  return new Set(imports.flatMap(([, names]) => names?.split(',').map((name) => name.trim()) ?? []))
}
