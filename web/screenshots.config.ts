// `make screenshots`: the pictures of the README and the guide, of a furnished registry.

import tests from './playwright.config'

export default {
  ...tests,
  testDir: 'screenshots',
  workers: 1,
  reporter: 'list',
  use: { ...tests.use, viewport: { width: 1200, height: 720 }, deviceScaleFactor: 1 },
}
