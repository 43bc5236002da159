// The fakes of Hugging Face, Civitai and their storage that the Python tests have, in a process of their own, and a
// registry that may import from them.

import { type ChildProcess, spawn } from 'node:child_process'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { startRegistry } from './fixtures'
import type { Registry } from './registry'

const ROOT = join(import.meta.dirname, '../..')
// Each line of the input is a command; the fakes end with their input.
const FAKES = `
import json, sys
from tests.server.harness import make_model_file
from tests.server.imports.fake_sources import REPOSITORY, run_fake_sources

TOKEN = "hf_read_only"

with run_fake_sources() as fakes:
    def gate(is_gated):
        fakes.huggingface.is_gated = is_gated
        fakes.huggingface.token = TOKEN
    def lose():
        fakes.huggingface.files.clear()
    def restrict():
        deadline = {"error": "Early Access", "deadline": "2999-01-01T00:00:00.000Z"}
        fakes.civitai.download_refusal = (403, deadline)
    fakes.huggingface.files["vae/clear.safetensors"] = make_model_file("clear")
    fakes.storage.file = make_model_file("direct")
    commands = {
        "pause": fakes.storage.pause,
        "resume": fakes.storage.resume,
        "gate": lambda: gate(True),
        "open": lambda: gate(False),
        "restrict": restrict,
        "lose": lose,
    }
    settings = fakes.settings
    print(json.dumps({
        "settings": {
            "MODELYARD_IMPORT_HOSTS": ",".join(settings["import_hosts"]),
            "MODELYARD_IMPORT_HUGGINGFACE_URL": settings["import_huggingface_url"],
            "MODELYARD_IMPORT_CIVITAI_URL": settings["import_civitai_url"],
        },
        "repository": f"{fakes.huggingface_url}/{REPOSITORY}",
        "civitai": f"{fakes.civitai_url}/models/111",
        "file": f"{fakes.storage.server.address}/file/direct.safetensors",
        "token": TOKEN,
    }), flush=True)
    for line in sys.stdin:
        commands[line.strip()]()
        print("{}", flush=True)
`

type Command = 'pause' | 'resume' | 'gate' | 'open' | 'restrict' | 'lose'

interface Started {
  settings: Record<string, string>
  repository: string
  civitai: string
  file: string
  /** What opens the gated repository. */
  token: string
}

/** The running fakes; the addresses are those of a repository with two files, a model at Civitai, and a file. */
export class Sources {
  private constructor(
    private readonly process: ChildProcess,
    private readonly lines: AsyncIterator<string>,
    readonly started: Started,
  ) {}

  static async start(): Promise<Sources> {
    const process = spawn(join(ROOT, '.venv/bin/python'), ['-c', FAKES], {
      cwd: ROOT,
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    const lines = createInterface(process.stdout)[Symbol.asyncIterator]()
    const first = await lines.next()
    if (first.done) throw new Error('The fakes of sources did not start.')
    return new Sources(process, lines, JSON.parse(first.value) as Started)
  }

  /** Change how the fakes respond; returns once it is done. */
  async tell(command: Command): Promise<void> {
    this.process.stdin?.write(`${command}\n`)
    await this.lines.next()
  }

  stop(): Promise<void> {
    if (this.process.exitCode !== null || this.process.signalCode !== null) return Promise.resolve()
    return new Promise((over) => {
      this.process.once('exit', () => over())
      this.process.stdin?.end()
    })
  }
}

/** Provide a registry that may import from these sources, and keep both running while it is used. */
export function startRegistryWithSources(
  settings: Record<string, string>,
  onStarted: (sources: Sources) => void,
): (use: (registry: Registry) => Promise<void>) => Promise<void> {
  return async (use) => {
    const sources = await Sources.start()
    onStarted(sources)
    try {
      await startRegistry({ ...sources.started.settings, ...settings })(use)
    } finally {
      await sources.stop()
    }
  }
}
