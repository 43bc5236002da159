// First steps: each is done by what the registry has, over reloads and in other browsers.

import { createInvitation, openPageInOtherBrowser } from './accounts'
import { expect, expectAccessible, expectNoHorizontalScroll, withRegistry } from './fixtures'
import { registerModel } from './modelFiles'
import type { Registry } from './registry'
import { Machine } from './reportingMachine'

const test = withRegistry()

async function createTeam(registry: Registry, name: string) {
  const team = await registry.call<{ id: string }>(registry.owner, 'POST', '/teams', { display_name: name })
  return { id: team.id, in: registry.inTeam(team.id) }
}

test('first steps are ticked by facts, lead to the next one, and are finished for good', async ({
  page,
  registry,
  signIn,
  browser,
  pageErrors,
}) => {
  const team = await createTeam(registry, 'First steps')
  await page.addInitScript((id) => localStorage.setItem('modelyard.team', id), team.id)
  await signIn(registry.owner, '/models')
  const steps = page.getByRole('region', { name: 'First steps' })
  await expect(steps.getByRole('listitem')).toHaveCount(4)
  await expect(steps.getByText('Done:')).toHaveCount(0)
  await expectAccessible(page)
  await steps.getByRole('link', { name: 'Upload models' }).click()
  await expect(page).toHaveURL(/\/upload$/)

  const { id } = await registerModel(team.in, 'loras/first.safetensors')
  await page.goto(`${registry.url}/models`)
  await expect(page.getByRole('gridcell')).toHaveCount(1)
  await expect(steps.getByText('Done:')).toHaveCount(1)
  await steps.getByRole('link', { name: 'Pair machine' }).click()
  await expect(page.getByRole('heading', { name: 'Pair the first machine' })).toBeVisible()

  const machine = await Machine.create(team.in, 'first-render')
  await page.goto(`${registry.url}/models`)
  await expect(steps.getByRole('link', { name: 'Show machines' })).toBeVisible()
  // Without a reload: the page asks again.
  await machine.report([{ model_id: id, state: 'ready', bytes_done: 1102 }])
  await expect(steps.getByText('Done:')).toHaveCount(3)

  const other = await openPageInOtherBrowser(browser, pageErrors)
  await other.addInitScript((teamId) => localStorage.setItem('modelyard.team', teamId), team.id)
  await signIn(registry.owner, '/models', other)
  const otherSteps = other.getByRole('region', { name: 'First steps' })
  await expect(otherSteps.getByText('Done:')).toHaveCount(3)
  await otherSteps.getByRole('link', { name: 'Invite people' }).click()
  await expect(other).toHaveURL(/\/team$/)

  await createInvitation(team.in, 'guest@studio.test')
  await expect(page.getByText('All first steps are done.')).toBeVisible()
  await expect(steps).toHaveCount(0)
  await machine.remove()
  await page.reload()
  await expect(page.getByRole('gridcell')).toHaveCount(1)
  await expect(page.getByRole('status').filter({ hasText: '1 model' })).toBeVisible()
  await expect(steps).toHaveCount(0)
})

test('first steps can be dismissed', async ({ page, registry, signIn }) => {
  const team = await createTeam(registry, 'Dismissed')
  await registerModel(team.in, 'loras/dismissed.safetensors')
  await page.addInitScript((id) => localStorage.setItem('modelyard.team', id), team.id)
  await signIn(registry.owner, '/models')
  const steps = page.getByRole('region', { name: 'First steps' })
  await steps.getByRole('button', { name: 'Dismiss first steps' }).click()
  await expect(steps).toHaveCount(0)
  await page.reload()
  await expect(page.getByRole('status').filter({ hasText: '1 model' })).toBeVisible()
  await expect(steps).toHaveCount(0)
})

test('a member sees only the steps that they may do', async ({ page, registry, signIn }) => {
  const member = await registry.person('member')
  await signIn(member, '/models')
  const steps = page.getByRole('region', { name: 'First steps' })
  await expect(steps.getByRole('listitem')).toHaveCount(3)
  await expect(steps.getByText('Invite a colleague')).toHaveCount(0)
})

for (const scheme of ['light', 'dark'] as const) {
  for (const width of [1440, 380]) {
    test(`first steps fit ${width} pixels in ${scheme} colours`, async ({ page, registry, signIn }, info) => {
      const team = await createTeam(registry, `Looks ${width} ${scheme}`)
      await page.addInitScript((id) => localStorage.setItem('modelyard.team', id), team.id)
      await page.emulateMedia({ colorScheme: scheme })
      await page.setViewportSize({ width, height: 800 })
      await signIn(registry.owner, '/models')
      const steps = page.getByRole('region', { name: 'First steps' })
      await expect(steps.getByRole('listitem')).toHaveCount(4)
      await expectNoHorizontalScroll(page)
      await page.screenshot({ path: info.outputPath(`steps-${width}-${scheme}-empty.png`) })
      await registerModel(team.in, 'loras/looks.safetensors')
      await page.reload()
      await expect(steps.getByText('Done:')).toHaveCount(1)
      await expectAccessible(page)
      await expectNoHorizontalScroll(page)
      await page.screenshot({ path: info.outputPath(`steps-${width}-${scheme}-bar.png`) })
    })
  }
}
