/** What the /v1 APIs have in common: how a body is read, and OpenAI's way to refuse. */
import { zstdDecompressSync } from 'node:zlib'
import { Fault, type Refusing } from './dialect.ts'
import { type Exchange, JSON_PLAIN, JSON_UTF8 } from './exchange.ts'
import { goJson, goParse } from './gojson.ts'
import { fill, type Read, type Reader, type Struct } from './gostruct.ts'
import { parseRef } from './names.ts'
import { cloudFault, readable, type SimNode } from './node.ts'

const UNPACKED_BYTES_MAX = 20 * 1024 * 1024

/** Unpacks zstd, turns cloud models away before anything else is looked at, and fits the body. */
export async function readV1<F extends Record<string, Reader<any>>>(
  node: SimNode,
  x: Exchange,
  into: Struct<F>,
): Promise<Read<F>> {
  const sent = await x.body()
  const body = x.request.headers['content-encoding'] === 'zstd' ? unzstd(sent) : sent
  return readable(() => {
    const value = goParse(body)
    const model = (value as { model?: unknown } | null)?.model
    const ref = typeof model === 'string' ? parseRef(model) : undefined
    if (typeof ref === 'object' && ref.source === 'cloud') {
      const { status, message, also } = cloudFault(node)
      throw new Fault(status, message, { native: true, also })
    }
    return fill(into, value)
  })
}

function unzstd(body: Buffer): Buffer {
  try {
    return zstdDecompressSync(body, { maxOutputLength: UNPACKED_BYTES_MAX })
  } catch (error) {
    const tooLarge = (error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE'
    const text = tooLarge ? 'http: request body too large' : 'invalid input: magic number mismatch'
    throw new Fault(400, text, { native: true })
  }
}

/** How a body that does not fit is refused: before Ollama's writer takes over. */
export const openaiEarly: Refusing = {
  refusal: fault => ({ type: JSON_UTF8, text: openaiError(fault) }),
}

/** How everything after that is refused: another content type, and a newline. */
export const openaiLate: Refusing = {
  refusal: fault => ({ type: JSON_PLAIN, text: `${openaiError(fault)}\n` }),
}

function openaiError({ status, message }: Fault): string {
  const type = status === 400 ? 'invalid_request_error' : status === 404 ? 'not_found_error' : 'api_error'
  return goJson({ error: { message, type, param: null, code: null } })
}

/** Go's `%T` of what JSON decodes to. */
export function goType(value: unknown): string {
  if (value === null || value === undefined) return '<nil>'
  if (Array.isArray(value)) return '[]interface {}'
  if (typeof value === 'object') return 'map[string]interface {}'
  return typeof value === 'number' ? 'float64' : typeof value === 'boolean' ? 'bool' : 'string'
}

export function unixSeconds(ms: number): number {
  return Math.floor(ms / 1000)
}

/** A tool call's arguments are a text on /v1 and an object natively. */
export function parseArguments(text: string, complaint: string): Record<string, unknown> {
  try {
    return JSON.parse(text)
  } catch {
    throw new Fault(400, complaint)
  }
}

/** The named fields, those that are there. */
export function pick<T extends object, K extends keyof T>(from: T, ...keys: K[]): Pick<T, K> {
  const picked = {} as Pick<T, K>
  for (const key of keys) if (from[key] !== undefined) picked[key] = from[key]
  return picked
}
