// A real `modelyard serve` on a free loopback port with an owner, and calls of its public API.

import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { createWriteStream, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { getProgram, isForking } from './forkServer'

const ROOT = join(import.meta.dirname, '../..')
const FREE_PORT = 'from tests.ports import free_port; print(free_port())'
const START_MILLISECONDS = 300_000
const STOP_MILLISECONDS = 15_000

export type Role = 'viewer' | 'member' | 'admin' | 'owner'

/** A user with an account in the team, and their role. */
export interface Person {
  email: string
  password: string
  role: Role
}

export class Registry {
  url = ''
  readonly home = mkdtempSync(join(tmpdir(), 'modelyard-page-'))
  readonly owner: Person = { email: 'owner@studio.test', password: secret(), role: 'owner' }
  private team: string | undefined
  private process: ChildProcess | undefined
  private readonly running: ChildProcess[] = []
  private readonly tokens = new Map<string, { token: string; team: string }>()

  async start(settings: Record<string, string> = {}): Promise<void> {
    const environment = {
      MODELYARD_OWNER_EMAIL: this.owner.email,
      MODELYARD_OWNER_PASSWORD: this.owner.password,
      ...settings,
    }
    const port = this.url ? new URL(this.url).port : freePort()
    this.process = this.spawnCommand(
      ['serve', '--data-dir', join(this.home, 'data'), '--port', port],
      environment,
      'registry',
    )
    this.url = await waitForUrl(this.process)
  }

  /** Kill the registry (SIGKILL); `start` restarts it on the same port. */
  async kill(): Promise<void> {
    // SIGKILL would end what runs the forked registry a moment before the registry, which still has the port then.
    if (this.process) await stopProcess(this.process, isForking() ? 'SIGUSR1' : 'SIGKILL')
  }

  /** Stop the registry (SIGTERM); `start` restarts it on the same port. */
  async stop(): Promise<void> {
    if (this.process) await stopProcess(this.process, 'SIGTERM')
  }

  async close(): Promise<void> {
    await Promise.all(this.running.map((one) => stopProcess(one, 'SIGTERM')))
    rmSync(this.home, { recursive: true, force: true })
  }

  /** Return the CPU seconds that the registry has used so far; it must not be forked. */
  processorSeconds(): number {
    if (isForking()) throw new Error('The process id is that of what runs the forked registry.')
    const fields = readFileSync(`/proc/${this.process?.pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? []
    // User and system time, in hundredths of a second.
    return (Number(fields[11]) + Number(fields[12])) / 100
  }

  /** Start another modelyard command, such as an agent; it is stopped when the registry is closed. */
  spawnCommand(words: string[], environment: Record<string, string>, name: string): ChildProcess {
    const [program, ...begin] = getProgram()
    const child = spawn(program, [...begin, ...words], {
      env: { ...process.env, ...environment },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    const log = createWriteStream(join(this.home, `${name}.log`), { flags: 'a' })
    child.stdout?.pipe(log)
    child.stderr?.pipe(log)
    this.running.push(child)
    return child
  }

  /** Call the API as a person, in their first team (see `inTeam`), and return the response body; throws unless it succeeds. Bytes are sent as they are. */
  async call<Body>(person: Person, method: string, path: string, body?: unknown): Promise<Body> {
    const { token, team } = await this.getSession(person)
    const answer = await fetch(`${this.url}/api/v1${path}`, {
      method,
      headers: {
        Authorization: `Bearer ${token}`,
        'X-Team-ID': this.team ?? team,
        'Content-Type': body instanceof Uint8Array ? 'application/octet-stream' : 'application/json',
      },
      ...(body !== undefined && { body: body instanceof Uint8Array ? new Uint8Array(body) : JSON.stringify(body) }),
    })
    const text = await answer.text()
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text}`)
    return (text ? JSON.parse(text) : undefined) as Body
  }

  /** Return the same registry with calls made in another team of the caller. */
  inTeam(id: string): Registry {
    return Object.assign(Object.create(this) as Registry, { team: id })
  }

  /** Create an account in the team, with an invitation. */
  async person(role: Exclude<Role, 'owner'>, name: string = role): Promise<Person> {
    const person = { email: `${name}-${randomBytes(3).toString('hex')}@studio.test`, password: secret(), role }
    const created = await this.call<{ invitation_token: string }>(this.owner, 'POST', '/invitations', {
      email_address: person.email,
      invitation_role: role,
    })
    const answer = await fetch(`${this.url}/api/v1/invitations/accept`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({
        invitation_token: created.invitation_token,
        first_name: name,
        last_name: 'Tester',
        user_password: person.password,
      }),
    })
    if (!answer.ok) throw new Error(`accepting: ${answer.status} ${await answer.text()}`)
    return person
  }

  private async getSession(person: Person): Promise<{ token: string; team: string }> {
    const known = this.tokens.get(person.email)
    if (known) return known
    const login = { email_address: person.email, user_password: person.password }
    const answer = await fetch(`${this.url}/api/v1/auth/login`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify(login),
    })
    const { access_token: token } = (await answer.json()) as { access_token: string }
    const me = await fetch(`${this.url}/api/v1/users/me`, { headers: { Authorization: `Bearer ${token}` } })
    const { team_list } = (await me.json()) as { team_list: { id: string }[] }
    const caller = { token, team: team_list[0]?.id ?? '' }
    this.tokens.set(person.email, caller)
    return caller
  }
}

function secret(): string {
  return randomBytes(12).toString('base64url')
}

/** Return a free port outside the range that the system gives to clients, so that a registry can restart on it. */
export function freePort(): string {
  return execFileSync(join(ROOT, '.venv/bin/python'), ['-c', FREE_PORT], { cwd: ROOT, encoding: 'utf8' }).trim()
}

function waitForUrl(child: ChildProcess): Promise<string> {
  return new Promise((found, failed) => {
    const late = setTimeout(() => failed(new Error('The registry did not start in time.')), START_MILLISECONDS)
    let text = ''
    const listen = (chunk: Buffer) => {
      text += chunk.toString()
      const match = /modelyard listens on (http:\S+)/.exec(text)
      if (!match?.[1]) return
      clearTimeout(late)
      found(match[1])
    }
    child.stdout?.on('data', listen)
    child.stderr?.on('data', listen)
    child.once('exit', () => failed(new Error(`The registry ended:\n${text}`)))
  })
}

/** Send a signal to a process and wait for its exit; after 15 seconds it is killed. */
export function stopProcess(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve()
  return new Promise((over) => {
    const late = setTimeout(() => child.kill('SIGKILL'), STOP_MILLISECONDS)
    child.once('exit', () => {
      clearTimeout(late)
      over()
    })
    child.kill(signal)
  })
}
