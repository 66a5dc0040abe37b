/**
 * What a check may use: the server under test, the names it may ask for, and the few moves most checks share.
 */
import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { holds, Mismatch, object, Skip } from './expect.ts'
import type { Question, Reply, Wire } from './wire.ts'

/** The server under test and what is known about it. */
export interface Subject {
  readonly url: string
  /** A small completion model without tools and thinking, present. */
  readonly model: string
  /** A small embedding model, present. */
  readonly embed: string
  /** A name that is neither present nor in any registry. */
  readonly absent?: string
  /** A name the server's registry serves and the server does not have; it is pulled, then deleted. */
  readonly pull?: string
  /** False when the server can reach no registry. */
  readonly registry?: boolean
  /** The server's OLLAMA_MAX_QUEUE. */
  readonly maxQueue?: number
  /** Sent as a bearer token with every request. */
  readonly key?: string
  /** Path of a real `ollama` binary. */
  readonly cli?: string
  /** Sees to it that the process which runs the models dies during a stream (73). */
  readonly dying?: Dying
  /** Longest time for one check. */
  readonly deadlineMs?: number
}

/** Runs the stream, which says when its first piece has come. */
export type Dying = (stream: (begun: () => void) => Promise<Reply>) => Promise<Reply>

export interface Probe extends Required<Omit<Subject, 'cli' | 'key' | 'dying'>> {
  readonly key: string | undefined
  readonly cli: string | undefined
  readonly dying: Dying | undefined
  readonly signal: AbortSignal
  ask(question: Question): Promise<Reply>
  bytes(method: string, path: string): Promise<string>
  get(path: string, headers?: Record<string, string>): Promise<Reply>
  /** An object is sent as JSON, a string as it is. */
  post(path: string, body?: object | string, headers?: Record<string, string>): Promise<Reply>
  remove(name: string): Promise<Reply>
  capabilities(name: string): Promise<readonly string[]>
  resident(): Promise<readonly Resident[]>
  load(name: string): Promise<void>
  /** Asks for the end of a model's residency and waits until /api/ps agrees. */
  unload(name: string): Promise<void>
}

export interface Resident {
  readonly name: string
  readonly expires_at: string
}

/** A house may have to let others finish first. */
const TIDY_MS = 10_000

export function probe(subject: Subject, wire: Wire, signal: AbortSignal): Probe {
  const ask = async (question: Question, until = signal): Promise<Reply> => {
    const reply = await wire.ask(question, until)
    // True of every reply: CORS headers answer an Origin, and Ollama never compresses.
    const origin = question.headers?.['origin'] !== undefined
    for (const name of Object.keys(reply.headers))
      if (name === 'content-encoding' || (!origin && name.startsWith('access-control-')))
        throw new Mismatch(`${question.method} ${question.path}: headers`, `no ${name}`, reply.headers[name]!)
    return reply
  }
  const send = (method: string, path: string, body?: object | string, headers?: Record<string, string>) =>
    ask({ method, path, body: typeof body === 'object' ? JSON.stringify(body) : body, headers })
  const resident = async (): Promise<readonly Resident[]> => {
    const { models } = object('GET /api/ps', (await send('GET', '/api/ps')).body)
    holds('GET /api/ps: models', models, Array.isArray(models), 'an array')
    return models
  }

  return {
    absent: 'conformance-absent',
    pull: 'conformance-pulled:latest',
    registry: true,
    maxQueue: 512,
    deadlineMs: 20_000,
    ...subject,
    key: subject.key,
    cli: subject.cli,
    dying: subject.dying,
    signal,
    ask: question => ask(question),
    bytes: (method, path) => wire.bytes(method, path, signal),
    get: (path, headers) => send('GET', path, undefined, headers),
    post: (path, body, headers) => send('POST', path, body, headers),
    // Tidying up is not cut short by the deadline of the check that made a mess.
    remove: name =>
      ask(
        { method: 'DELETE', path: '/api/delete', body: JSON.stringify({ model: name }) },
        AbortSignal.timeout(TIDY_MS),
      ),

    async capabilities(name) {
      const shown = object(`show ${name}`, (await send('POST', '/api/show', { model: name })).body)
      return shown['capabilities'] ?? []
    },

    resident,

    async load(name) {
      const reply = (await this.capabilities(name)).includes('embedding')
        ? await send('POST', '/api/embed', { model: name })
        : await send('POST', '/api/generate', { model: name })
      holds(`loading ${name}`, `${reply.status} ${reply.body}`, reply.status === 200, '200')
    },

    async unload(name) {
      const body = JSON.stringify({ model: name, keep_alive: 0 })
      await ask({ method: 'POST', path: '/api/generate', body }, AbortSignal.timeout(TIDY_MS))
      for (let tries = 0; tries < 100; tries += 1) {
        if (!(await resident()).some(model => model.name === displayName(name))) return
        await sleep(50, undefined, { signal })
      }
      throw new Mismatch(
        'GET /api/ps',
        `no ${name} within 5 s of the request to unload it`,
        'it is still there',
      )
    },
  }
}

/** The name as the server lists it: always with a tag. */
export function displayName(name: string): string {
  return name.lastIndexOf(':') > name.lastIndexOf('/') ? name : `${name}:latest`
}

/** The name with nothing left out. */
export function longName(name: string): string {
  const slashes = name.split('/').length - 1
  return `${['registry.ollama.ai/library/', 'registry.ollama.ai/'][slashes] ?? ''}${displayName(name)}`
}

/** A name nobody has used, for a model that lives as long as one check. */
export function throwaway(): string {
  return `conformance-${randomBytes(4).toString('hex')}`
}

/** Skips a check that wants a model which cannot do this. */
export async function without(server: Probe, name: string, capability: string): Promise<void> {
  if ((await server.capabilities(name)).includes(capability))
    throw new Skip(`${name} has ${capability}; the check wants a model without`)
}
