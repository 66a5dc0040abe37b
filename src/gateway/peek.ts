/**
 * Reads what routing needs from a copy of a request's body; the body itself goes on untouched. Ollama reads field
 * names in any letter case, takes the last of several, and ignores what follows the first JSON value.
 */
import { promisify } from 'node:util'
import { zstdDecompress } from 'node:zlib'

export interface Peeked {
  /** The model as the client wrote it; undefined where the body names none, or is not JSON. */
  readonly model?: string
  /** Only the options that decide how a model is loaded. */
  readonly options?: Readonly<Record<string, unknown>>
  readonly keepAlive?: unknown
  /** An empty prompt with keep_alive 0: not a question, but the wish to unload. */
  readonly unload: boolean
  /** Names of files in a create: relative name → digest. */
  readonly files?: Readonly<Record<string, unknown>>
  readonly from?: string
  readonly source?: string
  readonly destination?: string
  readonly stream?: boolean
  readonly insecure?: boolean
}

/** Ollama's own limit for unpacked zstd bodies. */
const UNPACKED_BYTES_MAX = 20 * 1024 * 1024
/** A value worth parsing is small; prompts, messages and images are skipped. */
const VALUE_BYTES_MAX = 256 * 1024

const LOAD_OPTIONS = [
  'num_ctx',
  'num_batch',
  'num_gpu',
  'main_gpu',
  'use_mmap',
  'num_thread',
  'draft_num_predict',
]

const unzstd = promisify(zstdDecompress)

const NOTHING: Peeked = { unload: false }

export async function peek(body: Buffer, headers: { readonly [name: string]: unknown }): Promise<Peeked> {
  if (body.length === 0) return NOTHING
  const type = String(headers['content-type'] ?? '')
  if (type.startsWith('multipart/form-data')) return peekForm(body, type)
  if (headers['content-encoding'] !== 'zstd') return peekJson(body)
  try {
    return peekJson(await unzstd(body, { maxOutputLength: UNPACKED_BYTES_MAX }))
  } catch {
    return NOTHING // the node says what is wrong with it
  }
}

export function peekJson(body: Buffer): Peeked {
  const found = topLevel(body)
  if (found === undefined) return NOTHING
  const value = (key: string): unknown => {
    const range = found.get(key)
    if (range === undefined || range[1] - range[0] > VALUE_BYTES_MAX) return undefined
    try {
      return JSON.parse(body.toString('utf8', range[0], range[1]))
    } catch {
      return undefined
    }
  }
  const word = (key: string): string | undefined => {
    const held = value(key)
    return typeof held === 'string' && held !== '' ? held : undefined
  }
  const model = word('model') ?? word('name')
  const options = pick(value('options'))
  const keepAlive = value('keep_alive')
  const files = value('files')
  const [from, source, destination] = [word('from'), word('source'), word('destination')]
  const [stream, insecure] = [value('stream'), value('insecure')]
  return {
    unload: isZero(keepAlive) && isEmpty(found, body),
    ...(model !== undefined && { model }),
    ...(options !== undefined && { options }),
    ...(keepAlive !== undefined && keepAlive !== null && { keepAlive }),
    ...(typeof files === 'object' && files !== null && { files: files as Record<string, unknown> }),
    ...(from !== undefined && { from }),
    ...(source !== undefined && { source }),
    ...(destination !== undefined && { destination }),
    ...(typeof stream === 'boolean' && { stream }),
    ...(typeof insecure === 'boolean' && { insecure }),
  }
}

/** Byte ranges of the values of the first object's keys, by key in lower case; undefined for anything else. */
function topLevel(body: Buffer): Map<string, readonly [number, number]> | undefined {
  let at = blank(body, 0)
  if (body[at] !== 0x7b) return undefined
  const found = new Map<string, readonly [number, number]>()
  at = blank(body, at + 1)
  while (body[at] === 0x22) {
    const end = skipString(body, at)
    if (end < 0) return undefined
    const key = body.toString('utf8', at + 1, end - 1).toLowerCase()
    at = blank(body, end)
    if (body[at] !== 0x3a) return undefined
    const start = blank(body, at + 1)
    const stop = skipValue(body, start)
    if (stop < 0) return undefined
    found.set(key, [start, stop])
    at = blank(body, stop)
    if (body[at] !== 0x2c) break
    at = blank(body, at + 1)
  }
  return body[at] === 0x7d ? found : undefined
}

function blank(body: Buffer, from: number): number {
  let at = from
  while (body[at] === 0x20 || body[at] === 0x0a || body[at] === 0x0d || body[at] === 0x09) at += 1
  return at
}

/** The place after the closing quote, or -1. Long strings (images) are crossed by indexOf, at memory speed. */
function skipString(body: Buffer, open: number): number {
  let at = open + 1
  for (;;) {
    const quote = body.indexOf(0x22, at)
    if (quote < 0) return -1
    let slashes = 0
    while (body[quote - 1 - slashes] === 0x5c) slashes += 1
    if (slashes % 2 === 0) return quote + 1
    at = quote + 1
  }
}

function skipValue(body: Buffer, start: number): number {
  const first = body[start]
  if (first === 0x22) return skipString(body, start)
  if (first !== 0x7b && first !== 0x5b) {
    let at = start
    while (at < body.length && body[at] !== 0x2c && body[at] !== 0x7d && body[at] !== 0x5d) at += 1
    return at === start ? -1 : at
  }
  let depth = 0
  let at = start
  while (at < body.length) {
    const byte = body[at]
    if (byte === 0x22) {
      at = skipString(body, at)
      if (at < 0) return -1
      continue
    }
    if (byte === 0x7b || byte === 0x5b) depth += 1
    else if (byte === 0x7d || byte === 0x5d) {
      depth -= 1
      if (depth === 0) return at + 1
    }
    at += 1
  }
  return -1
}

function pick(options: unknown): Readonly<Record<string, unknown>> | undefined {
  if (typeof options !== 'object' || options === null) return undefined
  const kept = Object.entries(options).filter(([name]) => LOAD_OPTIONS.includes(name))
  return kept.length === 0 ? undefined : Object.fromEntries(kept)
}

function isZero(keepAlive: unknown): boolean {
  return (
    keepAlive === 0 ||
    (typeof keepAlive === 'string' && /^[+-]?0+(?:\.0*)?(?:ns|us|µs|ms|s|m|h)?$/.test(keepAlive))
  )
}

/** No prompt and no messages. */
function isEmpty(found: ReadonlyMap<string, readonly [number, number]>, body: Buffer): boolean {
  return ['prompt', 'messages', 'input', 'images', 'suffix'].every(key => {
    const range = found.get(key)
    if (range === undefined) return true
    const text = body.toString('utf8', range[0], Math.min(range[1], range[0] + 16)).replace(/\s+/g, '')
    return text === '""' || text === '[]' || text === 'null'
  })
}

/** The `model` field of a form; the file beside it is not looked at. */
function peekForm(body: Buffer, type: string): Peeked {
  const boundary = /boundary=(?:"([^"]+)"|([^;\s]+))/.exec(type)
  const mark = boundary?.[1] ?? boundary?.[2]
  if (mark === undefined) return NOTHING
  const named = body.indexOf('name="model"')
  if (named < 0) return NOTHING
  const start = body.indexOf('\r\n\r\n', named)
  const stop = start < 0 ? -1 : body.indexOf(`\r\n--${mark}`, start + 4)
  if (stop < 0 || stop - start > VALUE_BYTES_MAX) return NOTHING
  const model = body.toString('utf8', start + 4, stop).trim()
  return model === '' ? NOTHING : { unload: false, model }
}
