/**
 * What an embedding request asks, read from a copy of its body. Strictly: only a body that every reader of JSON reads
 * the same way, with fields known here and texts for inputs. Whatever is otherwise is good too, but goes by itself.
 */

import { isUtf8 } from 'node:buffer'
import { createHash } from 'node:crypto'
import { isCloud } from '../peek.ts'
import { Walk } from '../walk.ts'

export type EmbeddingPath = '/api/embed' | '/api/embeddings' | '/v1/embeddings'

/** A request as it came in. */
export interface Sent {
  /** As the table of routes has it. */
  readonly route: string
  /** Path and query for the node. */
  readonly target: string
  readonly headers: { readonly [name: string]: unknown }
  readonly body: Buffer
}

export interface EmbeddingAsk {
  readonly path: EmbeddingPath
  /** All but the inputs, as JSON text in a fixed order: `"model":"m","truncate":false`. Requests may share a call where it is equal. */
  readonly frame: string
  readonly inputs: readonly string[]
  /** Of the inputs as UTF-8. */
  readonly bytes: number
}

/** The fields of each path but the inputs, in the order they are written again, and which of their texts are understood. */
const FIELDS: Readonly<Record<EmbeddingPath, Readonly<Record<string, RegExp>>>> = (() => {
  const model = /^"[\w.:/-]{1,400}"$/
  const keep_alive = /^(?:-?\d{1,9}|"0"|"-?(?:\d{1,9}(?:ms|s|m|h)){1,3}")$/
  const options = /^\{/
  const dimensions = /^[1-9]\d{0,4}$/
  return {
    '/api/embed': { model, truncate: /^(?:true|false)$/, dimensions, keep_alive, options },
    '/api/embeddings': { model, keep_alive, options },
    '/v1/embeddings': { model, dimensions, encoding_format: /^"(?:float|base64)"$/ },
  }
})()

/** Undefined for what is to go by itself. */
export function readAsk(sent: Sent, bytesMax: number): EmbeddingAsk | undefined {
  const { route, target, headers, body } = sent
  if (!isEmbeddingPath(route) || target !== route || body.length > bytesMax) return undefined
  if (headers['content-encoding'] !== undefined || !isUtf8(body)) return undefined
  const whole = parsed(body)
  const fields = fieldsOf(body)
  if (whole === undefined || fields === undefined) return undefined

  const question = route === '/api/embeddings' ? 'prompt' : 'input'
  const inputs = textsOf(whole[question], route)
  if (inputs === undefined || !fields.delete(question)) return undefined

  const frame: string[] = []
  for (const [name, shape] of Object.entries(FIELDS[route])) {
    const text = fields.get(name)
    if (text === undefined) continue
    if (!shape.test(text)) return undefined
    frame.push(`"${name}":${text}`)
    fields.delete(name)
  }
  const named = typeof whole['model'] === 'string' && !isCloud(whole['model'])
  if (!named || fields.size > 0) return undefined // an unknown field may mean something to the next Ollama
  const bytes = inputs.reduce((sum, text) => sum + Buffer.byteLength(text), 0)
  return { path: route, frame: frame.join(), inputs, bytes }
}

/** Equal for the same inputs in the same order, and not to be told apart from chance otherwise. */
export function digestOf({ inputs }: EmbeddingAsk): string {
  return createHash('sha256').update(JSON.stringify(inputs)).digest('base64')
}

function isEmbeddingPath(route: string): route is EmbeddingPath {
  return Object.hasOwn(FIELDS, route)
}

function parsed(body: Buffer): Readonly<Record<string, unknown>> | undefined {
  try {
    const whole: unknown = JSON.parse(body.toString())
    return typeof whole === 'object' && whole !== null ? { ...whole } : undefined
  } catch {
    return undefined
  }
}

/** An empty text has a meaning of its own (only load the model), and half a character is read in several ways. */
function textsOf(asked: unknown, path: EmbeddingPath): readonly string[] | undefined {
  const texts: readonly unknown[] = Array.isArray(asked) && path !== '/api/embeddings' ? asked : [asked]
  const good = (text: unknown): text is string =>
    typeof text === 'string' && text !== '' && text.isWellFormed()
  return texts.length > 0 && texts.every(good) ? texts : undefined
}

/** The text of each field of what is known to be a JSON object; undefined where a name comes twice, or in disguise. */
function fieldsOf(body: Buffer): Map<string, string> | undefined {
  const walk = new Walk(body)
  const fields = new Map<string, string>()
  const blanks = (): void => {
    while (!walk.blanks()) walk.rest()
  }
  const value = (): string => {
    blanks()
    const start = walk.at
    walk.enter()
    while (!walk.cross()) walk.rest()
    const text = body.toString('utf8', start, walk.at).trimEnd()
    blanks()
    return text
  }
  blanks()
  if (!walk.sees(OPENING)) return undefined
  do {
    walk.at += 1
    const name = value()
    if (!walk.sees(COLON)) return undefined
    walk.at += 1
    const text = value()
    const key = name.slice(1, -1)
    if (fields.has(key)) return undefined
    fields.set(key, text)
  } while (walk.sees(COMMA))
  return fields
}

const OPENING = 0x7b
const COLON = 0x3a
const COMMA = 0x2c
