/**
 * A request under its model's policy. What the policy locks or caps is changed in the body, byte for byte around it as the
 * client sent it; and the same is said to whoever loads the model and to whoever routes by how it is loaded.
 *
 *   native    options.num_ctx and keep_alive, locked or capped
 *   /v1       has neither of them, so its bodies pass as they are. See docs/adr/0021-policies.md
 *
 * Read as Go reads it (see peek.ts); inside `options` names count in their own letter case alone. A body that says one of
 * these things twice is refused: Go would take the last one, or put both together, and the next reader would not.
 */
import type { PolicyData } from '../../machines/policy.ts'
import { variantOf } from '../../machines/variant.ts'
import { fields, folded, nameIn, parsed, type Span } from './fields.ts'
import { keepAliveSeconds } from './keepalive.ts'
import type { Peeked } from './peek.ts'
import { Walk } from './walk.ts'

export interface Asked {
  /** The path as the table of routes has it. */
  readonly route: string
  readonly body: Buffer
  readonly peeked: Peeked
}

export interface Amended {
  /** To be sent: the very same where nothing had to be changed. */
  readonly body: Buffer
  /** How the model must be loaded for it; see machines/variant.ts. */
  readonly variant: string
  /** How long it is to stay after this; for whoever loads it. */
  readonly keepAlive?: unknown
}

/** It cannot be sent, and a sentence says why. */
export interface NotAmended {
  readonly refused: { readonly status: 400 | 403; readonly message: string }
}

/** Without a policy, and with one that says nothing of how a model is loaded, nothing is read and nothing is copied. */
export async function amend(
  { route, body, peeked }: Asked,
  policy: PolicyData = {},
): Promise<Amended | NotAmended> {
  const native = NATIVE.has(route)
  if (native && peeked.unload && (policy.keepAliveS ?? 0) !== 0)
    return { refused: { status: 403, message: KEPT } }
  const edited = native ? await edit(body, policy) : body
  if (edited === TWICE) return { refused: { status: 400, message: DOUBLED } }
  const keepAlive = keepAliveUnder(policy, peeked.keepAlive)
  return {
    body: edited,
    variant: variantFor(route, peeked, policy),
    ...(keepAlive !== undefined && { keepAlive }),
  }
}

/** How the model must be loaded for a request under its policy. A node loads for /v1 as it sees fit, and so for all of it. */
export function variantFor(route: string, peeked: Peeked, policy: PolicyData = {}): string {
  return NATIVE.has(route) ? variantOf(optionsUnder(policy, peeked.options)) : ''
}

/** What a keep_alive comes to. */
function keepAliveUnder({ keepAliveS, keepAliveMaxS }: PolicyData, asked: unknown): unknown {
  if (keepAliveS !== undefined) return keepAliveS
  return keepAliveMaxS !== undefined && (keepAliveSeconds(asked) ?? 0) > keepAliveMaxS ? keepAliveMaxS : asked
}

function optionsUnder(
  { numCtx, numCtxMax }: PolicyData,
  options: Peeked['options'],
): Readonly<Record<string, unknown>> {
  if (numCtx !== undefined) return { ...options, num_ctx: numCtx }
  const asked = options?.num_ctx
  return typeof asked === 'number' && asked > (numCtxMax ?? asked)
    ? { ...options, num_ctx: numCtxMax }
    : { ...options }
}

const KEPT =
  'a policy of the house says how long this model stays in memory, so no request unloads it; see `quipu policy`'
const DOUBLED =
  'the body says options, num_ctx or keep_alive twice, and a policy of the house speaks of them; say each once'

/** Only these have options and a keep_alive. */
const NATIVE: ReadonlySet<string> = new Set(['/api/generate', '/api/chat', '/api/embed', '/api/embeddings'])

// ── the body ─────────────────────────────────────────────────────────────────────────────────────────────────────

const TWICE = Symbol('twice')
/** The longest of the names, every letter written as an escape. */
const NAME_BYTES_MAX = 10 * 6
/** A number or a duration is shorter; what is longer is beyond every cap. */
const VALUE_BYTES_MAX = 64
const BEYOND = Symbol('beyond')

const QUOTE = 0x22
const BRACKET = 0x5b
const BRACE = 0x7b

/** What stands there instead; nothing is taken away where the end is the start. */
interface Edit extends Span {
  readonly text: string
}

/** An object: where its inside begins, how many fields it has, and the values of those that matter. */
interface Found {
  readonly inside: number
  readonly count: number
  readonly values: ReadonlyMap<string, Span>
}

async function edit(body: Buffer, policy: PolicyData): Promise<Buffer | typeof TWICE> {
  const { numCtx, numCtxMax, keepAliveS, keepAliveMaxS } = policy
  const names = [
    ...(numCtx === undefined && numCtxMax === undefined ? [] : ['options']),
    ...(keepAliveS === undefined && keepAliveMaxS === undefined ? [] : ['keep_alive']),
  ]
  if (names.length === 0) return body
  const top = await find(body, body.indexOf(BRACE), names, folded)
  if (top === TWICE) return TWICE
  if (top === undefined) return body // no JSON: the node's own words are the answer
  const contexts = await numCtxEdits(body, top, policy)
  if (contexts === TWICE) return TWICE
  const edits = [...contexts, ...keepAliveEdits(body, top, policy)]
  return edits.length === 0 ? body : applied(body, edits)
}

async function numCtxEdits(
  body: Buffer,
  top: Found,
  { numCtx, numCtxMax }: PolicyData,
): Promise<readonly Edit[] | typeof TWICE> {
  const options = top.values.get('options')
  if (options === undefined || valueIn(body, options) === null) {
    if (numCtx === undefined) return []
    const text = `{"num_ctx":${numCtx}}`
    return [options === undefined ? added(top, `"options":${text}`) : { ...options, text }]
  }
  if (body[options.start] !== BRACE) return [] // the node will say so
  const inner = await find(body, options.start, ['num_ctx'], name => name)
  if (inner === TWICE) return TWICE
  const value = inner?.values.get('num_ctx')
  if (value === undefined) {
    return numCtx === undefined || inner === undefined ? [] : [added(inner, `"num_ctx":${numCtx}`)]
  }
  const asked = valueIn(body, value)
  if (numCtx !== undefined) return asked === numCtx ? [] : [{ ...value, text: String(numCtx) }]
  return over(asked, numCtxMax) ? [{ ...value, text: String(numCtxMax) }] : []
}

function keepAliveEdits(body: Buffer, top: Found, policy: PolicyData): readonly Edit[] {
  const { keepAliveS, keepAliveMaxS } = policy
  const value = top.values.get('keep_alive')
  if (value === undefined) return keepAliveS === undefined ? [] : [added(top, `"keep_alive":${keepAliveS}`)]
  const asked = valueIn(body, value)
  if (keepAliveS !== undefined) return asked === keepAliveS ? [] : [{ ...value, text: String(keepAliveS) }]
  return over(keepAliveSeconds(asked) ?? asked, keepAliveMaxS)
    ? [{ ...value, text: String(keepAliveMaxS) }]
    : []
}

/** The object that begins at a byte; undefined where none does. */
async function find(
  body: Buffer,
  start: number,
  names: readonly string[],
  fold: (name: string) => string,
): Promise<Found | typeof TWICE | undefined> {
  const values = new Map<string, Span>()
  let count = 0
  let twice = false
  const whole = await fields(new Walk(body, Math.max(0, start)), (name, value) => {
    count += 1
    const known = fold(nameIn(body, name, NAME_BYTES_MAX) ?? '')
    if (!names.includes(known)) return true
    twice ||= values.has(known)
    values.set(known, trimmed(body, value))
    return !twice
  })
  if (twice) return TWICE
  return whole ? { inside: start + 1, count, values } : undefined
}

/** A number or a word ends before the blanks behind it. */
function trimmed(body: Buffer, { start, end }: Span): Span {
  if (body[start] === QUOTE || body[start] === BRACE || body[start] === BRACKET) return { start, end }
  const text = body.toString('latin1', start, Math.min(end, start + VALUE_BYTES_MAX))
  const blank = text.search(/[ \t\r\n]/)
  return { start, end: blank < 0 ? end : start + blank }
}

function valueIn(body: Buffer, { start, end }: Span): unknown {
  return end - start > VALUE_BYTES_MAX ? BEYOND : parsed(body.toString('utf8', start, end))
}

function over(asked: unknown, max = Number.POSITIVE_INFINITY): boolean {
  return asked === BEYOND || (typeof asked === 'number' && asked > max)
}

/** A new field, before all others. */
function added({ inside, count }: Found, field: string): Edit {
  return { start: inside, end: inside, text: count > 0 ? `${field},` : field }
}

function applied(body: Buffer, edits: readonly Edit[]): Buffer {
  const pieces: Buffer[] = []
  let from = 0
  for (const { start, end, text } of edits.toSorted((a, b) => a.start - b.start)) {
    pieces.push(body.subarray(from, start), Buffer.from(text))
    from = end
  }
  return Buffer.concat([...pieces, body.subarray(from)])
}
