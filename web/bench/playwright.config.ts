// Measurements of the page: the browser of the tests, one at a time, never part of a check.

import { defineConfig } from '@playwright/test'
import tests from '../playwright.config'

export default defineConfig({
  ...tests,
  // Processes as users start them.
  globalSetup: [],
  testDir: '.',
  testMatch: '*.bench.ts',
  outputDir: '../results/bench',
  workers: 1,
  timeout: 900_000,
  reporter: [['list']],
  use: { ...tests.use, screenshot: 'off' },
})
