// `make extension-test`: the extension in a real ComfyUI with its own page, a real registry and a real agent.

import { defineConfig } from '@playwright/test'
import tests from '../playwright.config'

export default defineConfig({
  ...tests,
  testDir: '.',
  outputDir: '../results/comfyui',
  workers: 1,
  timeout: 300_000,
  reporter: [['list']],
  use: { ...tests.use, viewport: { width: 1400, height: 900 }, trace: 'retain-on-failure' },
})
