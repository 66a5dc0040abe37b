/**
 * Brings a model to a node, in one of two ways:
 *
 *   by its agent     the command has an id, and goes on when the house is away: the same id joins it, or tells how it ended
 *   by its Ollama    POST /api/pull, for as long as the connection holds; what there is of a blob is kept, and the next
 *                    pull goes on from there
 *
 * Either way it ends in a Failure with the node's own words, which says whether another try may mend it. Words are all
 * there is to tell that by: Ollama answers 200, and puts what went wrong into the last line.
 */
import type { Upstream } from '../call.ts'
import type { Clock } from '../clock.ts'
import { Failure } from '../failure.ts'
import { NodeAnswer } from '../ollama/ollama.ts'
import { follow } from '../ollama/progress.ts'
import type { CommandProgress, CommandStep, ModelCommandRequest } from '../rpc/messages.ts'

export interface PullOrder {
  /** As the journal has it: the same one is never used for two pulls. */
  readonly command: string
  readonly model: string
  readonly node: string
  readonly url: string
}

export interface Pulling {
  /** Each line of progress. */
  readonly step: (step: CommandStep) => void
  /** Whoever waits leaves. The node stops where only this connection held it; an agent goes on. */
  readonly signal: AbortSignal
}

/** What is needed of a line to an agent. */
export interface AgentLine {
  command(request: ModelCommandRequest, signal: AbortSignal): AsyncIterable<CommandProgress>
  cancel(id: string, signal: AbortSignal): Promise<boolean>
}

export interface PullerNeeds {
  readonly clock: Clock
  readonly upstream: (url: string) => Pick<Upstream, 'send'>
  /** The line to a node's agent that is up now. */
  readonly line: (node: string) => AgentLine | undefined
}

/** Ollama itself begins a part anew after 30 s without a byte, and gives up after some six of those. */
export const STALL_MS = 5 * 60_000
/** To read half a terabyte from a slow disk, and to write it down, is silent work. */
export const SILENT_WORK_MS = 60 * 60_000
const SILENT_WORK = /^(verifying|writing|removing)/
/** In an agent's line, behind others: how long they take is not this one's fault. */
const WAITS = 'waiting'
const CANCEL_MAX_MS = 5_000
/** A line of progress is some hundred bytes. */
const WORDS_MAX = 500

export class Puller {
  readonly #needs: PullerNeeds

  constructor(needs: PullerNeeds) {
    this.#needs = needs
  }

  /** Resolves when the node has the model, or when whoever waits has left; else throws a Failure (of the road, or PullFailed). */
  async pull(order: PullOrder, { step, signal }: Pulling): Promise<'done' | 'left'> {
    if (signal.aborted) return 'left'
    const { clock, line, upstream } = this.#needs
    const agent = line(order.node)
    if (agent === undefined && agented(order.url)) {
      throw new Failure('agent.away', `the agent of ${order.node} is not connected`, { retryable: true })
    }
    const leave = new AbortController()
    const left = (): void => leave.abort()
    signal.addEventListener('abort', left, { once: true })
    let stalled = false
    const stall = (): void => {
      stalled = true
      leave.abort()
    }
    let timer = clock.after(STALL_MS, stall)
    let last = ''
    const watched = (now: CommandStep): void => {
      const { status, digest, completedBytes } = now
      const mark = `${status} ${digest} ${completedBytes}`
      // Ollama says every 60 ms what it has, whether that is more or not.
      if (mark !== last) {
        last = mark
        timer.cancel()
        if (status !== WAITS) timer = clock.after(SILENT_WORK.test(status) ? SILENT_WORK_MS : STALL_MS, stall)
      }
      step(now)
    }
    try {
      const how = { step: watched, signal: leave.signal }
      const ended = agent ? await byAgent(agent, order, how) : await byOllama(upstream(order.url), order, how)
      if (!stalled) return ended
    } finally {
      timer.cancel()
      signal.removeEventListener('abort', left)
    }
    await this.cancel(order)
    throw new PullFailed('stalled', `nothing has moved for ${STALL_MS / 60_000} minutes`, { retryable: true })
  }

  /** Stops it where it would go on by itself. What it has done so far stays. Whether an agent has heard it; never throws. */
  async cancel({ command, node }: Pick<PullOrder, 'command' | 'node'>): Promise<boolean> {
    const { clock, line } = this.#needs
    const agent = line(node)
    if (agent === undefined) return false
    const late = new AbortController()
    const timer = clock.after(CANCEL_MAX_MS, () => late.abort())
    try {
      await agent.cancel(command, late.signal)
      return true
    } catch (error) {
      if (!(error instanceof Failure)) throw error
      return false
    } finally {
      timer.cancel()
    }
  }
}

/** Whether a node is reached through its agent only. */
export function agented(url: string): boolean {
  return /^(agent|grpc):/.test(url)
}

/** The road was cut, and nothing is known of what went over it. */
export function isRoad({ code }: Failure): boolean {
  return ROAD.has(code)
}

const ROAD: ReadonlySet<string> = new Set([
  'agent.away',
  'agent.broken',
  'agent.closing',
  'ollama.refused',
  'ollama.broken',
  'ollama.timeout',
])

async function byAgent(
  agent: AgentLine,
  { command: id, model }: PullOrder,
  { step, signal }: Pulling,
): Promise<'done' | 'left'> {
  try {
    for await (const told of agent.command({ id, pull: { model, insecure: false } }, signal)) {
      if (signal.aborted) return 'left'
      if ('step' in told) step(told.step)
      else if (told.end.outcome === 'OUTCOME_DONE') return 'done'
      else if (told.end.outcome === 'OUTCOME_CANCELLED')
        throw PullFailed.from('it was stopped on the node', 0)
      else throw PullFailed.from(told.end.reason, told.end.httpStatus)
    }
  } catch (error) {
    if (signal.aborted && error instanceof Failure) return 'left'
    throw error
  }
  if (signal.aborted) return 'left'
  throw new Failure('agent.broken', 'the agent said no more', { retryable: true })
}

async function byOllama(
  upstream: Pick<Upstream, 'send'>,
  { model }: PullOrder,
  { step, signal }: Pulling,
): Promise<'done' | 'left'> {
  try {
    await follow(upstream, '/api/pull', { model, stream: true }, step, signal)
    return 'done'
  } catch (error) {
    if (signal.aborted && error instanceof Failure) return 'left'
    throw error instanceof NodeAnswer ? PullFailed.from(error.message, error.status) : error
  }
}

/** What the words mean, told from how Ollama and the systems under it put it. The first that fits. */
type Trouble = 'unknown' | 'full' | 'digest' | 'upstream' | 'away' | 'stalled' | 'answer'

const MEANINGS: readonly (readonly [RegExp, Trouble, retryable: boolean])[] = [
  [/no space left on device|not enough space|disk quota exceeded/i, 'full', false],
  [/manifest: file does not exist|invalid model name|\b404:/, 'unknown', false],
  [/digest mismatch/, 'digest', true],
  // Who asks may not have it; or it is a model for a later version of Ollama.
  [/\b(401|403|412):|unauthorized|access denied|requires a newer version/i, 'upstream', false],
  [/read-only file system|permission denied/i, 'answer', false],
  [
    /\b(429|5\d\d):|dial tcp|lookup |timeout|max retries|\bEOF\b|reset by peer|x509|tls:|Location header/,
    'upstream',
    true,
  ],
]

/** How a pull went wrong. The message is the node's own words, and for people: it may quote addresses. */
export class PullFailed extends Failure {
  readonly trouble: Trouble
  /** What the node answered; 0 where it did not. */
  readonly status: number

  constructor(
    trouble: Trouble,
    words: string,
    { retryable, status = 0 }: { retryable: boolean; status?: number },
  ) {
    super('transfer.failed', words.slice(0, WORDS_MAX) || `it answered ${status}`, { retryable })
    this.trouble = trouble
    this.status = status
  }

  static from(words: string, status: number): PullFailed {
    const meaning = MEANINGS.find(([pattern]) => pattern.test(words))
    if (meaning !== undefined) return new PullFailed(meaning[1], words, { retryable: meaning[2], status })
    const refused = status >= 400 && status < 500 && !BUSY.has(status)
    return new PullFailed('answer', words, { retryable: !refused, status })
  }
}

const BUSY: ReadonlySet<number> = new Set([408, 425, 429])
