// Hostile texts in every field that users can set: no script runs, the layout fits, and the security policy is not
// violated (each test fails on a script or a violation: see fixtures.ts).

import { expect, expectNoHorizontalScroll, withRegistry } from './fixtures'
import { createSampleTeam, removeDirectionMarks } from './sampleTeam'
import { VIEWS } from './views'

const test = withRegistry()

const HOSTILE_TEXTS: Record<string, string> = {
  'a script': '<script>alert(1)</script>',
  'a picture that fails, in a long word': `"><img src=x onerror=alert(1)>${'W'.repeat(60)}`,
  'a vector': '<svg/onload=alert(1)>',
  'an address that is a script': 'javascript:alert(1)',
  'a template': '{{constructor.constructor("alert(1)")()}} #{alert(1)}',
  'an override of direction': '\u202egpj.\u2066exe\u2069 \u200f\u05d0\u05d1',
  'wide characters': '\u5b57'.repeat(90),
  'no place to break': 'W'.repeat(90),
  emoji: '\u{1F469}\u{1F3FD}\u200d\u{1F4BB}'.repeat(12),
  'marks on marks': `Z${'\u0335\u0322\u0489'.repeat(28)}`,
}

// It runs a script and stretches the layout; `make check-all` tries the others too.
const CORE = 'a picture that fails, in a long word'

for (const [what, text] of Object.entries(HOSTILE_TEXTS)) {
  const tag = what === CORE ? '@core' : '@extended'
  test(`${what} in every field is shown as text, runs no script and fits the layout`, { tag }, async ({
    page,
    registry,
    signIn,
  }) => {
    const team = await registry.call<{ id: string }>(registry.owner, 'POST', '/teams', {
      display_name: removeDirectionMarks(text),
    })
    const guest = registry.inTeam(team.id)
    const { ids, collection } = await createSampleTeam(guest, { name: (plain) => `${text} ${plain}`.slice(0, 100) })
    await page.addInitScript((id) => localStorage.setItem('modelyard.team', id), team.id)
    await signIn(registry.owner, '/account')
    const records = [`/models/${ids[0]}`, `/collections/${collection}`]
    for (const view of [...VIEWS, ...records, `/models?model=${ids[0]}`, '/machines?machine=render-02']) {
      await page.goto(`${registry.url}${view}`)
      await expect(page.getByRole('heading', { level: 1 }).first()).toBeVisible()
      await expect(page.getByRole('status', { name: /^Loading/ })).toHaveCount(0)
      if (/[?&](model|machine)=/.test(view)) await expect(page.getByRole('dialog')).toBeVisible()
      await expectNoHorizontalScroll(page, view)
    }
  })
}
