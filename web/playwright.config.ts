// The page in Debian's Chromium, against real registries that the tests start themselves.

import { join } from 'node:path'
import { defineConfig } from '@playwright/test'

export default defineConfig({
  testDir: 'tests',
  globalSetup: join(import.meta.dirname, 'tests/forkServer.ts'),
  outputDir: 'results/traces',
  // Two cores: a browser and a server are busy enough.
  workers: 2,
  // The limits end what hangs, and say nothing of speed: a machine may do other things beside the tests.
  timeout: 600_000,
  expect: { timeout: 60_000 },
  forbidOnly: true,
  reporter: [['list'], ['junit', { outputFile: 'results/junit.xml' }]],
  use: {
    viewport: { width: 1280, height: 800 },
    actionTimeout: 60_000,
    navigationTimeout: 60_000,
    // Traces take a fifth of the time. A test that fails at its second try keeps one (tools/check.py).
    trace: 'off',
    screenshot: 'only-on-failure',
    launchOptions: {
      executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
      args: [
        '--no-sandbox',
        '--headless',
        '--disable-gpu',
        '--disable-quic',
        '--no-first-run',
        '--disable-background-networking',
        '--disable-component-update',
        '--disable-sync',
      ],
    },
  },
})
