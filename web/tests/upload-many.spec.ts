import { join } from 'node:path'
import { expect, withRegistry } from './fixtures'
import { drop, readRequestLog, writeModelFile } from './uploadActions'

const test = withRegistry()
const FILES = 40

test('a folder of many files is looked up and presigned with few requests, and all of them are registered', async ({
  page,
  registry,
  signIn,
}) => {
  for (let number = 0; number < FILES; number += 1)
    writeModelFile(registry, `many/models/loras/ink-${number}.safetensors`)
  await signIn(registry.owner, '/upload')
  await drop(page, join(registry.home, 'files/many/models'))
  await page.getByRole('button', { name: `Upload ${FILES} files` }).click()
  const count = async () =>
    (await registry.call<{ page_meta: { total_count: number } }>(registry.owner, 'GET', '/models')).page_meta
      .total_count
  await expect.poll(count, { timeout: 60_000 }).toBe(FILES)
  const paths = (await readRequestLog(registry)).map(({ path }) => path)
  const countOf = (route: string) => paths.filter((path) => path === `/api/v1/models/${route}`).length
  expect(countOf('lookup')).toBeLessThan(FILES / 4)
  expect(countOf('presign-batch')).toBeGreaterThan(0)
  expect(countOf('presign') + countOf('presign-batch')).toBeLessThan(FILES / 2)
})
