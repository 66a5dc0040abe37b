/**
 * What may be asked of an agent, and what it comes to at its Ollama. A row a command; there are no others, and no row does
 * anything but call that one server. Names are read as Ollama reads them and written anew, so that nothing of what was
 * sent goes on but its parts.
 */
import { createHash } from 'node:crypto'
import { displayName, parseName, sourceOf } from '../../machines/name.ts'
import { Failure } from '../failure.ts'
import type { Ollama } from '../ollama/ollama.ts'
import { follow } from '../ollama/progress.ts'
import type { CommandStep, ModelCommand, ModelCommandRequest } from '../rpc/messages.ts'

export type Server = Pick<Ollama, 'send' | 'ask' | 'load' | 'unload'>

/** A command that was read and found good. */
export interface Order {
  /** The same for the same command. */
  readonly print: string
  /** Transfers take hours; what is over in seconds or minutes does not wait for them. */
  readonly lane: Lane
  /** Which answers of the agent it makes stale. */
  readonly touches: 'present' | 'resident' | 'nothing'
  /** Throws a Failure where Ollama did not do it. */
  carryOut(server: Server, told: (step: CommandStep) => void, signal: AbortSignal): Promise<void>
}

export type Lane = 'transfer' | 'short'

type Keys<T> = T extends unknown ? keyof T : never
type Kind = Keys<ModelCommand>
type Fields<K extends Kind> = Extract<ModelCommand, Record<K, unknown>>[K]

type Reading = Omit<Order, 'print'> & { readonly says: readonly unknown[] }

/** Files are named in a recipe by their digests, which become names of files at Ollama. */
const DIGEST = /^sha256:[0-9a-f]{64}$/
const DIGEST_MAPS: ReadonlySet<string> = new Set(['files', 'adapters', 'draft_files'])
const RECIPE_LENGTH_MAX = 1024 * 1024
const OPTIONS_LENGTH_MAX = 16_384
const KEEP_ALIVE = /^-?[0-9.a-zµμ]{1,32}$/
const ID = /^[\x21-\x7e]{1,128}$/

const kinds: { readonly [K in Kind]: (fields: Fields<K>) => Reading } = {
  pull({ model, insecure }) {
    const body = { model: named(model), insecure, stream: true }
    return streaming('/api/pull', body, 'present')
  },
  push({ model, insecure }) {
    const body = { model: named(model), insecure, stream: true }
    return streaming('/api/push', body, 'nothing')
  },
  create({ model, recipe }) {
    // Go takes the last of equal fields, whatever their case: these are ours.
    const body = { ...recipeOf(recipe), model: named(model), stream: true }
    return streaming('/api/create', body, 'present')
  },
  delete({ model }) {
    const body = { model: named(model) }
    return asking('DELETE', '/api/delete', body, 'deleting')
  },
  copy({ source, destination }) {
    const body = { source: named(source), destination: named(destination) }
    return asking('POST', '/api/copy', body, 'copying')
  },
  load({ model, keepAlive, options }) {
    const name = local(model)
    const order = {
      ...(keepAlive !== '' && { keepAlive: keepAliveOf(keepAlive) }),
      ...(options !== '' && { options: jsonOf('options', options, OPTIONS_LENGTH_MAX) }),
    }
    return {
      says: [name, order],
      lane: 'short',
      touches: 'resident',
      async carryOut(server, told, signal) {
        told({ status: 'loading' })
        const embedding = await embeds(server, name, signal)
        await server.load(name, { ...order, embedding, signal })
      },
    }
  },
  unload({ model }) {
    const name = local(model)
    return {
      says: [name],
      lane: 'short',
      touches: 'resident',
      async carryOut(server, told, signal) {
        told({ status: 'unloading' })
        const embedding = await embeds(server, name, signal)
        await server.unload(name, { embedding, signal })
      },
    }
  },
}

/** Throws a Failure `agent.order` where it is none. */
export function read(request: ModelCommandRequest): Order {
  if (!ID.test(request.id)) throw bad('a command has an id of up to 128 plain characters')
  const asked = (Object.keys(kinds) as Kind[]).filter(
    kind => (request as Partial<Record<Kind, unknown>>)[kind],
  )
  const [kind] = asked
  if (kind === undefined || asked.length > 1) throw bad('a command is exactly one of those in agent.proto')
  const { says, ...order } = reading(kind, request)
  const print = createHash('sha256')
    .update(JSON.stringify([kind, ...says]))
    .digest('base64url')
  return { ...order, print }
}

function reading<K extends Kind>(kind: K, request: ModelCommandRequest): Reading {
  return kinds[kind]((request as unknown as Record<K, Fields<K>>)[kind])
}

function streaming(
  path: string,
  body: Readonly<Record<string, unknown>>,
  touches: Order['touches'],
): Reading {
  return {
    says: [body],
    lane: 'transfer',
    touches,
    carryOut: (server, told, signal) => follow(server, path, body, told, signal),
  }
}

function asking(
  method: string,
  path: string,
  body: Readonly<Record<string, string>>,
  status: string,
): Reading {
  return {
    says: [body],
    lane: 'short',
    touches: 'present',
    async carryOut(server, told, signal) {
      told({ status })
      await server.ask(method, path, body, signal)
    },
  }
}

/** Embedding models are loaded and unloaded by another call, and the other one fails. */
async function embeds(server: Server, model: string, signal: AbortSignal): Promise<boolean> {
  const answer = await server.ask('POST', '/api/show', { model }, signal)
  try {
    const { capabilities } = JSON.parse(answer.toString()) as { capabilities?: unknown }
    return String(capabilities) === 'embedding'
  } catch {
    return false
  }
}

function named(text: string): string {
  const name = parseName(text)
  if (name === undefined) throw bad(`${JSON.stringify(text.slice(0, 128))} is not a model's name`)
  return displayName(name)
}

/** What runs at ollama.com would not be loaded here, but there, on the account of whoever owns this machine. */
function local(text: string): string {
  if (sourceOf(text).source === 'cloud') throw bad(`${text.slice(0, 128)} does not run on this machine`)
  return named(text)
}

function recipeOf(text: string): Readonly<Record<string, unknown>> {
  const recipe = jsonOf('recipe', text, RECIPE_LENGTH_MAX)
  const kept = Object.entries(recipe).filter(([key]) => !/^(?:model|name|stream)$/i.test(key))
  for (const [key, value] of kept) {
    if (DIGEST_MAPS.has(key.toLowerCase())) checkDigests(key, value)
  }
  return Object.fromEntries(kept)
}

function checkDigests(key: string, value: unknown): void {
  const digests = typeof value === 'object' && value !== null ? Object.values(value) : [undefined]
  for (const digest of digests) {
    if (typeof digest !== 'string' || !DIGEST.test(digest))
      throw bad(`${key} of a recipe are digests by name`)
  }
}

function jsonOf(what: string, text: string, lengthMax: number): Readonly<Record<string, unknown>> {
  if (text.length > lengthMax) throw bad(`${what} of more than ${lengthMax} characters`)
  let held: unknown
  try {
    held = JSON.parse(text === '' ? '{}' : text)
  } catch {
    throw bad(`${what} is not JSON`)
  }
  if (typeof held !== 'object' || held === null || Array.isArray(held))
    throw bad(`${what} is not a JSON object`)
  return held as Record<string, unknown>
}

/** Ollama takes seconds as a number only, and a duration with a unit only as text. */
function keepAliveOf(text: string): string | number {
  if (!KEEP_ALIVE.test(text)) throw bad('keep_alive is a duration such as 5m, or -1')
  return Number.isNaN(Number(text)) ? text : Number(text)
}

function bad(message: string): Failure {
  return new Failure('agent.order', message)
}
