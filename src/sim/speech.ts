/** Speaking an answer: the prompt is read, then token follows token, each when it is due. */
import { forever, Gone, sleep } from './client.ts'
import { type Answer, type Dialect, Fault, type Metrics } from './dialect.ts'
import type { Exchange } from './exchange.ts'
import { goQuote } from './gojson.ts'
import type { Mode } from './misbehaviour.ts'
import { nanos, nanosSince, type SimNode } from './node.ts'
import type { Lease } from './runner.ts'
import { type Piece, type Script, script } from './script.ts'
import { hash, logprobs, tokenIds } from './words.ts'

const DIED = 'an error was encountered while running the model: unexpected EOF'

/** One answer to be spoken. */
export interface Job extends Script {
  readonly raw: string
  readonly promptTokens: number
  readonly truncate: boolean
  /** What the runner says to an image it cannot see. */
  readonly blind: Fault | undefined
  /** How many alternatives to list; undefined for none of it. */
  readonly logprobs: number | undefined
  readonly withContext: boolean
  readonly started: number
  readonly loadNanos: number
}

export async function answer(
  node: SimNode,
  x: Exchange,
  dialect: Dialect,
  lease: Lease,
  job: Job,
): Promise<void> {
  await lease.slot(x)
  const { clock, temper } = node
  checkFormat(job.format)
  if (job.blind !== undefined) throw job.blind
  const promptTokens = fitting(job, lease.contextLength)
  const readFrom = clock.monotonic()
  await sleep(clock, node.scale((promptTokens / node.options.prefillTps) * 1000), x)
  const spokeFrom = clock.monotonic()

  const root = hash(`${node.options.seed} ${job.model.blob} ${job.tuning.seed} ${job.text}`)
  const { pieces, tokens, reason } = script(job, root, node.options.words)
  const probabilities = job.logprobs === undefined ? [] : logprobs(root, tokens, job.logprobs)
  const stepMs = node.scale(1000 / node.options.decodeTps)
  // What goes wrong with an answer is settled when it begins.
  const { mode } = temper.now
  const breaks = temper.breaksAfter() !== Number.POSITIVE_INFINITY
  const breaksAt = Math.min(temper.breaksAfter(), pieces.length)

  const stamp = (): Pick<Answer, 'model' | 'createdAt'> => ({ model: job.raw, createdAt: node.wall() })
  for (let said = 0; said <= pieces.length; said += 1) {
    if (breaks && said === breaksAt) await breakDown(mode, x, lease)
    if (said === pieces.length) break
    // By the clock, not by the count of naps: a late timer does not slow the voice down. A listener to the
    // whole answer needs no timer for each token.
    if (dialect.streams || breaks) await sleep(clock, spokeFrom + said * stepMs - clock.monotonic(), x)
    if (!dialect.streams) continue
    if (!x.opened) x.open(200, dialect.streamType)
    const spoken = dialect.piece({
      ...stamp(),
      ...pieces[said]!,
      done: false,
      logprobs: at(probabilities, said),
    })
    if (spoken !== '') await x.send(spoken)
  }
  await sleep(clock, spokeFrom + tokens.length * stepMs - clock.monotonic(), x)
  node.counters.tokens += tokens.length

  const spokenMs = (clock.monotonic() - spokeFrom) * node.options.speed
  const metrics: Metrics = {
    total_duration: nanosSince(node, job.started),
    load_duration: job.loadNanos,
    prompt_eval_count: promptTokens,
    prompt_eval_duration: thousands((spokeFrom - readFrom) * node.options.speed),
    eval_count: tokens.length || undefined,
    eval_duration: tokens.length > 0 ? thousands(spokenMs) : undefined,
  }
  const context = job.withContext
    ? [...tokenIds(hash(job.text), promptTokens), ...tokenIds(root, tokens.length)]
    : undefined
  const last = { ...stamp(), done: true, doneReason: reason, metrics, context } as const
  if (!dialect.streams) {
    const together = pieces.reduce<Piece>(joined, { content: '' })
    return whole(x, dialect, {
      ...last,
      ...together,
      logprobs: probabilities.length > 0 ? probabilities : undefined,
    })
  }
  if (!x.opened) x.open(200, dialect.streamType)
  x.send(dialect.piece({ ...last, content: '' }))
  x.end()
}

export function whole(x: Exchange, dialect: Dialect, answer: Answer): void {
  const { type, text } = dialect.whole(answer)
  x.reply(200, type, text)
}

/** Does what a mode wants done after so many tokens; never comes back to the answer. */
export async function breakDown(mode: Mode, x: Exchange, lease: Lease): Promise<never> {
  if (mode === 'half-open') return forever(x)
  if (mode === 'runner-dies') {
    lease.crash()
    throw new Fault(500, DIED, { late: true })
  }
  await x.cut()
  throw new Gone()
}

function joined(sum: Piece, piece: Piece): Piece {
  return {
    content: sum.content + piece.content,
    ...(sum.thinking !== undefined || piece.thinking !== undefined
      ? { thinking: (sum.thinking ?? '') + (piece.thinking ?? '') }
      : {}),
    ...(sum.toolCalls !== undefined || piece.toolCalls !== undefined
      ? { toolCalls: [...(sum.toolCalls ?? []), ...(piece.toolCalls ?? [])] }
      : {}),
  }
}

/** The part of a prompt that is read: what does not fit is left out, or refused when asked to. */
function fitting({ promptTokens, truncate }: Job, contextLength: number): number {
  if (promptTokens <= contextLength) return promptTokens
  if (truncate) return contextLength
  const error = {
    code: 400,
    message: `request (${promptTokens} tokens) exceeds the available context size (${contextLength} tokens), try increasing it`,
    type: 'exceed_context_size_error',
    n_prompt_tokens: promptTokens,
    n_ctx: contextLength,
  }
  throw new Fault(400, JSON.stringify({ error }), { late: true })
}

function checkFormat(format: unknown): void {
  if (format === undefined || format === '' || format === 'json') return
  if (typeof format === 'object' && !Array.isArray(format)) return
  const sent = goQuote(JSON.stringify(format))
  const text = `invalid format: ${sent}; expected "json" or a valid JSON Schema object`
  throw new Fault(500, text, { late: true })
}

function at<T>(items: readonly T[], index: number): T[] | undefined {
  return index < items.length ? [items[index]!] : undefined
}

/** The runner measures in microseconds. */
function thousands(ms: number): number {
  return Math.max(1000, Math.round(nanos(ms) / 1000) * 1000)
}
