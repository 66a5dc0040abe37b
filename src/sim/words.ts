/**
 * What a simulated model says: the same words for the same (seed, model, prompt) on every node. Tokens are
 * words with a leading space, as in `' alpha'`, `' bravo'`.
 */
import { mulberry32 } from '../clock.ts'

const VOCABULARY = `
  alpha bravo charlie delta echo foxtrot golf hotel india juliet kilo lima mike november oscar papa quebec
  romeo sierra tango uniform victor whiskey xray yankee zulu one two three four five six seven eight nine zero
  red green blue white black north south east west over under with from and the
`
  .trim()
  .split(/\s+/)
  .map(word => ` ${word}`)

export interface Logprob {
  token: string
  logprob: number
  bytes: number[]
  top_logprobs?: Logprob[]
}

/** FNV-1a with a final stir: 32 bits that differ in every place when the text differs in one. */
export function hash(text: string): number {
  let h = 0x811c9dc5
  for (let i = 0; i < text.length; i += 1) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193)
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return (h ^ (h >>> 16)) >>> 0
}

export function speak(root: number, count: number): string[] {
  const random = mulberry32(root)
  const tokens: string[] = new Array(count)
  for (let i = 0; i < count; i += 1) tokens[i] = VOCABULARY[Math.floor(random() * VOCABULARY.length)]!
  return tokens
}

/** Roughly a token per four letters of a word and one per mark, never fewer than one per word. */
export function tokenCount(text: string): number {
  let count = 0
  let run = 0
  for (let i = 0; i < text.length; i += 1) {
    const code = text.charCodeAt(i)
    const letter =
      (code >= 97 && code <= 122) || (code >= 65 && code <= 90) || (code >= 48 && code <= 57) || code > 127
    if (letter) {
      if (run % 4 === 0) count += 1
      run += 1
    } else {
      run = 0
      if (code > 32) count += 1
    }
  }
  return count
}

export function tokenIds(root: number, count: number): number[] {
  const ids: number[] = new Array(count)
  for (let i = 0, h = root; i < count; i += 1) {
    h = (Math.imul(h, 1_664_525) + 1_013_904_223) | 0
    ids[i] = 256 + (h >>> 25)
  }
  return ids
}

/** Eight decimals is what a 32-bit float would print. */
export function embed(root: number, length: number): number[] {
  const random = mulberry32(root)
  return Array.from({ length }, () => Math.fround(random() * 2 - 1))
}

export function normalised(vector: readonly number[]): number[] {
  const norm = Math.max(Math.hypot(...vector), 1e-12)
  return vector.map(value => Math.round((value / norm) * 1e8) / 1e8)
}

export function logprobs(root: number, tokens: readonly string[], top: number): Logprob[] {
  const random = mulberry32(root)
  return tokens.map(token => {
    const others = Array.from({ length: top }, (_, i) => ({
      token: i === 0 ? token : VOCABULARY[Math.floor(random() * VOCABULARY.length)]!,
      logprob: -(0.25 + i + random()),
    }))
    const chosen = others[0] ?? { token, logprob: -(0.25 + random()) }
    return top === 0 ? bytesOf(chosen) : { ...bytesOf(chosen), top_logprobs: others.map(bytesOf) }
  })
}

function bytesOf({ token, logprob }: { token: string; logprob: number }): Logprob {
  return { token, logprob, bytes: [...Buffer.from(token)] }
}

/** A value that a JSON schema would accept; enough of the language for tools and structured outputs. */
export function example(schema: unknown, root: number, whole: unknown = schema, depth = 0): unknown {
  if (typeof schema !== 'object' || schema === null || depth > 16) return null
  const s = schema as Record<string, any>
  const into = (inner: unknown, key: string): unknown =>
    example(inner, hash(`${root}.${key}`), whole, depth + 1)
  if ('const' in s) return s['const']
  if (Array.isArray(s['enum'])) return s['enum'][root % s['enum'].length]
  if (typeof s['$ref'] === 'string') return into(followRef(whole, s['$ref']), 'ref')
  for (const choice of ['anyOf', 'oneOf', 'allOf'])
    if (Array.isArray(s[choice])) return into(s[choice][0], '0')
  const type = Array.isArray(s['type']) ? s['type'][0] : s['type']
  if (type === 'string') return speak(root, 1)[0]!.trim()
  if (type === 'integer' || type === 'number') return root % 100
  if (type === 'boolean') return root % 2 === 0
  if (type === 'null') return null
  if (type === 'array') return s['items'] === undefined ? [] : [into(s['items'], '0')]
  const properties = Object.entries((s['properties'] ?? {}) as Record<string, unknown>)
  return Object.fromEntries(properties.map(([key, inner]) => [key, into(inner, key)]))
}

function followRef(whole: unknown, ref: string): unknown {
  return ref
    .replace(/^#\/?/, '')
    .split('/')
    .filter(step => step !== '')
    .reduce((at: any, step) => at?.[step], whole)
}
