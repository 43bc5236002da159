// A real ComfyUI as a process, from an archive of its source, with one of its pages.

import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import {
  appendFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePort, stopProcess } from '../tests/registry'

const ROOT = join(import.meta.dirname, '../..')
const EXTENSION = join(ROOT, 'extension/modelyard-bridge')
const START_MILLISECONDS = 180_000

/** The archive of ComfyUI's source; the tests are left out without it. */
export const ARCHIVE = process.env.MODELYARD_COMFYUI_ARCHIVE ?? ''
const VENV = process.env.MODELYARD_COMFYUI_VENV ?? join(ROOT, '.venv-comfyui')

/** Versions of comfyui-frontend-package that the extension supports: the oldest and the newest tested one. */
export const PAGES = ['1.27.10', '1.58.1'] as const
export type PageVersion = (typeof PAGES)[number]

/** ComfyUI's source, unpacked once for the tests of a file. */
export class ComfySource {
  private readonly unpacked = mkdtempSync(join(tmpdir(), 'comfyui-source-'))
  readonly folder: string

  constructor() {
    execFileSync('tar', ['--extract', '--file', ARCHIVE, '--directory', this.unpacked])
    this.folder = existsSync(join(this.unpacked, 'main.py')) ? this.unpacked : join(this.unpacked, 'comfyui')
  }

  remove(): void {
    rmSync(this.unpacked, { recursive: true, force: true })
  }
}

/** One start of ComfyUI; `base` holds its models, custom nodes and settings. */
export class ComfyUI {
  url = ''
  private process: ChildProcess | undefined

  constructor(
    private readonly source: ComfySource,
    readonly base: string,
    private readonly page: PageVersion,
  ) {
    for (const folder of ['custom_nodes', 'models', 'user/default']) mkdirSync(join(base, folder), { recursive: true })
    // Without them the first visit opens a dialog, and the page hides its sidebar.
    const settings = { 'Comfy.TutorialCompleted': true, 'Comfy.UseNewMenu': 'Top', 'Comfy.InstalledVersion': page }
    writeFileSync(join(base, 'user/default/comfy.settings.json'), JSON.stringify(settings))
  }

  /** Copy the extension into the folder of custom nodes, as `agent install-extension` does. */
  installExtension(socket: string): void {
    const folder = join(this.base, 'custom_nodes/modelyard-bridge')
    cpSync(EXTENSION, folder, { recursive: true })
    writeFileSync(join(folder, 'agent.json'), JSON.stringify({ socket }))
  }

  async start(): Promise<void> {
    const port = freePort()
    writeFileSync(this.log, '')
    const page = join(VENV, 'pages', this.page, 'comfyui_frontend_package/static')
    const flags = ['--cpu', '--listen', '127.0.0.1', '--port', port, '--base-directory', this.base]
    this.process = spawn(join(VENV, 'bin/python'), ['main.py', ...flags, '--front-end-root', page], {
      cwd: this.source.folder,
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    this.url = `http://127.0.0.1:${port}`
    await this.waitForText('To see the GUI go to:')
  }

  /** Return the seconds that ComfyUI says the extension took to import, in tenths as it prints them. */
  getImportSeconds(): number {
    return Number(/([\d.]+) seconds: \S*modelyard-bridge/.exec(this.output)?.[1])
  }

  async stop(): Promise<void> {
    if (this.process) await stopProcess(this.process, 'SIGTERM')
  }

  private get log(): string {
    return join(this.base, 'comfyui.log')
  }

  private get output(): string {
    return readFileSync(this.log, 'utf8')
  }

  private waitForText(text: string): Promise<void> {
    const { process, log } = this
    return new Promise((found, failed) => {
      const late = setTimeout(
        () => failed(new Error(`ComfyUI did not start in time:\n${this.output}`)),
        START_MILLISECONDS,
      )
      const listen = (chunk: Buffer) => {
        appendFileSync(log, chunk)
        if (!this.output.includes(text)) return
        clearTimeout(late)
        found()
      }
      process?.stdout?.on('data', listen)
      process?.stderr?.on('data', listen)
      process?.once('exit', () => failed(new Error(`ComfyUI ended:\n${this.output}`)))
    })
  }
}
