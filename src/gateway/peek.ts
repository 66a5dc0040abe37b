/**
 * Reads what routing needs from a copy of a request's body; the body itself goes on untouched. Read as Ollama reads it,
 * or a client could tell the house one model and the node another: the path says what the body is, not its
 * Content-Type; field names in any letter case; the last of several; and what follows the first JSON value is nothing.
 */
import { promisify } from 'node:util'
import { zstdDecompress } from 'node:zlib'
import { sourceOf } from '../../machines/name.ts'
import { fields, folded, nameIn, parsed, type Span } from './fields.ts'
import { formModel } from './form.ts'
import { headOf } from './head.ts'
import { Walk } from './walk.ts'

export interface Peeked {
  /** The model as the client wrote it; undefined where the body names none, or is not JSON. */
  readonly model?: string
  /** The older field for it, which only the verbs still read. */
  readonly name?: string
  /** One of the models named runs at ollama.com. */
  readonly cloud: boolean
  /** An empty prompt with keep_alive 0: not a question, but the wish to unload. */
  readonly unload: boolean
  /** Only the options that decide how a model is loaded; none where Ollama reads none, which is all of /v1. */
  readonly options?: Readonly<Record<string, unknown>>
  readonly keepAlive?: unknown
  /** How long an answer its client allows, in tokens. */
  readonly outputMax?: number
  /** A hash of the head of the conversation; see head.ts. */
  readonly head?: number
  /** Digests of the uploads that a create is made from. */
  readonly digests: readonly string[]
  readonly from?: string
  readonly source?: string
  readonly destination?: string
  readonly stream?: boolean
  readonly insecure?: boolean
  /** The same again would be answered with the same. */
  readonly repeatable?: true
  /** The node might read it otherwise than the house does, so it goes to none. Why. */
  readonly unreadable?: string
}

/** Ollama's own limit for unpacked zstd bodies. */
const UNPACKED_BYTES_MAX = 20 * 1024 * 1024
/** A value worth parsing is small; prompts, messages and images are crossed. */
const VALUE_BYTES_MAX = 256 * 1024
/** The longest of the names below, every letter written as an escape. */
const KEY_BYTES_MAX = 21 * 6

const KEYS: ReadonlySet<string> = new Set([
  ...['model', 'name', 'options', 'keep_alive', 'stream', 'prompt', 'messages'],
  ...['files', 'adapters', 'draft_files', 'from', 'source', 'destination', 'insecure'],
  ...['system', 'input', 'instructions', 'max_tokens', 'max_completion_tokens', 'max_output_tokens'],
  ...['seed', 'temperature'],
])

const LOAD_OPTIONS: ReadonlySet<string> = new Set([
  ...['num_ctx', 'num_batch', 'num_gpu', 'main_gpu', 'use_mmap', 'num_thread', 'draft_num_predict'],
])

/** There is no chance in an embedding. */
const EMBEDDINGS: ReadonlySet<string> = new Set(['/api/embed', '/api/embeddings', '/v1/embeddings'])
/** Of OpenAI's and Anthropic's questions, Ollama reads a seed in these only. */
const SEEDED: ReadonlySet<string> = new Set(['/v1/chat/completions', '/v1/completions'])

/** Each of Ollama's ways to unload is an empty one of these. */
const QUESTIONS: Readonly<Record<string, string>> = { '/api/generate': 'prompt', '/api/chat': 'messages' }

const NOTHING: Peeked = { cloud: false, unload: false, digests: [] }

const unzstd = promisify(zstdDecompress) as unknown as (
  body: Buffer,
  options: object,
) => Promise<{ readonly buffer: Buffer; readonly engine: { readonly bytesWritten: number } }>

/** `path` as the table of routes has it. */
export async function peek(
  path: string,
  body: Buffer,
  headers: { readonly [name: string]: unknown },
): Promise<Peeked> {
  if (body.length === 0) return NOTHING
  if (path === '/v1/audio/transcriptions') return peekForm(body, String(headers['content-type'] ?? ''))
  if (!path.startsWith('/v1/')) return peekJson(body, path)
  if (headers['content-encoding'] !== 'zstd') return withoutLoad(await peekJson(body, path))
  try {
    const { buffer, engine } = await unzstd(body, { maxOutputLength: UNPACKED_BYTES_MAX, info: true })
    // A node reads all the frames there are, Node only the first.
    if (engine.bytesWritten === body.length) return withoutLoad(await peekJson(buffer, path))
  } catch {
    // Too large, or not zstd.
  }
  return { ...NOTHING, unreadable: 'failed to decompress request body' }
}

export async function peekJson(body: Buffer, path = ''): Promise<Peeked> {
  const found = await topLevel(body)
  if (found === undefined) return NOTHING
  const text = (key: string): string | undefined => {
    const held = found.values.get(key)
    return typeof held === 'string' && held !== '' ? held : undefined
  }
  const flag = (key: string): boolean | undefined => {
    const held = found.values.get(key)
    return typeof held === 'boolean' ? held : undefined
  }
  const question = QUESTIONS[path]
  const keepAlive = found.values.get('keep_alive')
  const prompt = found.values.get('prompt') ?? found.values.get('input')
  const system = found.values.get('system') ?? found.values.get('instructions')
  return {
    cloud: found.cloud,
    unload: question !== undefined && isZero(keepAlive) && isEmpty(found.values.get(question)),
    digests: ['files', 'adapters', 'draft_files'].flatMap(key => texts(found.values.get(key))),
    ...given({
      model: text('model'),
      name: text('name'),
      options: loadOptions(found.values.get('options')),
      keepAlive,
      outputMax: outputMax(found.values),
      head: headOf(found.values.get('messages'), prompt, system),
      from: text('from'),
      source: text('source'),
      destination: text('destination'),
      stream: flag('stream'),
      insecure: flag('insecure'),
      repeatable: isRepeatable(path, found.values) ? true : undefined,
    }),
  }
}

function withoutLoad({ options: _none, keepAlive: _either, ...peeked }: Peeked): Peeked {
  return peeked
}

/** Zero in one of the forms a duration may have. */
export function isZero(keepAlive: unknown): boolean {
  if (typeof keepAlive !== 'string') return keepAlive === 0
  return /^[+-]?(?:0|(?:0+(?:\.0*)?|\.0+)(?:ns|us|µs|μs|ms|s|m|h)(?:(?:0+(?:\.0*)?|\.0+)(?:ns|us|µs|μs|ms|s|m|h))*)$/.test(
    keepAlive,
  )
}

/** Would a node send a request for this model to ollama.com? It drops blanks around a name and around its suffix. */
export function isCloud(model: string): boolean {
  const { source } = sourceOf(model.replace(/[\s\u0085]+/g, ''))
  return source === 'cloud' || source === 'both'
}

/** A value too long to be worth reading; not empty, not zero, no text. */
const LONG = Symbol('long')

/** The values of the first object's keys that matter, by key in lower case; undefined for what is no object. */
async function topLevel(
  body: Buffer,
): Promise<{ readonly values: ReadonlyMap<string, unknown>; readonly cloud: boolean } | undefined> {
  const values = new Map<string, unknown>()
  let cloud = false
  const whole = await fields(new Walk(body), (name, span) => {
    const key = keyOf(body, name)
    if (key === undefined) return true
    const value = heldIn(body, span)
    if (value === undefined) return false
    // Go leaves a field as it is when it reads null.
    if (value !== null) values.set(key, value)
    // The door to ollama.com looks at `model` alone, the rest at the last one in any letter case: either may count.
    if (key === 'model') cloud ||= value === LONG || (typeof value === 'string' && isCloud(value))
    return true
  })
  return whole ? { values, cloud } : undefined
}

/** The key in lower case if it matters. */
function keyOf(body: Buffer, span: Span): string | undefined {
  const name = nameIn(body, span, KEY_BYTES_MAX)
  const key = name === undefined ? '' : folded(name)
  return KEYS.has(key) ? key : undefined
}

/** Undefined for what is not JSON. */
function heldIn(body: Buffer, { start, end }: Span): unknown {
  return end - start > VALUE_BYTES_MAX ? LONG : parsed(body.toString('utf8', start, end))
}

/** Greedy, or with a seed; one below zero asks for chance. */
function isRepeatable(path: string, values: ReadonlyMap<string, unknown>): boolean {
  if (EMBEDDINGS.has(path)) return true
  if (path.startsWith('/v1/')) {
    return values.get('temperature') === 0 || (SEEDED.has(path) && isSeed(values.get('seed')))
  }
  const options = values.get('options')
  if (typeof options !== 'object' || options === null) return false
  const { seed, temperature } = options as { readonly seed?: unknown; readonly temperature?: unknown }
  return temperature === 0 || isSeed(seed)
}

function isSeed(value: unknown): boolean {
  return Number.isInteger(value) && (value as number) >= 0
}

function isEmpty(value: unknown): boolean {
  return value === undefined || value === '' || (Array.isArray(value) && value.length === 0)
}

function texts(value: unknown): string[] {
  if (typeof value !== 'object' || value === null) return []
  return Object.values(value).filter(held => typeof held === 'string')
}

function loadOptions(value: unknown): Readonly<Record<string, unknown>> | undefined {
  if (typeof value !== 'object' || value === null) return undefined
  const kept = Object.entries(value).filter(([name]) => LOAD_OPTIONS.has(name))
  return kept.length === 0 ? undefined : Object.fromEntries(kept)
}

/** Native answers are limited by an option, the others by a field. */
function outputMax(values: ReadonlyMap<string, unknown>): number | undefined {
  const options = values.get('options') as { readonly num_predict?: unknown } | undefined
  const asked = [
    values.get('max_completion_tokens'),
    values.get('max_tokens'),
    values.get('max_output_tokens'),
    options?.num_predict,
  ]
  return asked.find((limit): limit is number => Number.isSafeInteger(limit) && (limit as number) > 0)
}

function given<T extends object>(fields: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as never
}

function peekForm(body: Buffer, contentType: string): Peeked {
  const { model, unreadable } = formModel(body, contentType)
  if (unreadable !== undefined)
    return { ...NOTHING, unreadable: `failed to parse multipart form: ${unreadable}` }
  return model === undefined || model === '' ? NOTHING : { ...NOTHING, cloud: isCloud(model), model }
}
