/**
 * One attempt: a request on the node it was assigned to. Its bytes are relayed, what its node does is noted, and the
 * journal is told what concerns the attempt; what becomes of the request then is for whoever began it.
 */
import type { Outgoing, Upstream } from '../call.ts'
import type { Clock } from '../clock.ts'
import type { Engine } from '../engine/engine.ts'
import { Failure } from '../failure.ts'
import { isFree, retriesLeft } from '../projections/retries.ts'
import type { Batches } from './embedding/batches.ts'
import { Holding, type HoldNeeds } from './hold.ts'
import { dialectOf, lastWords, plainly } from './refusals.ts'
import { type Ending, relay } from './relay.ts'
import type { Sink } from './sink.ts'

export interface RunsNeeds extends HoldNeeds {
  readonly engine: Engine
  readonly clock: Clock
  readonly upstream: (url: string) => Upstream
  readonly batches: Pick<Batches, 'upstream'>
}

/** Why a call is cut from our side. */
export type Cut = 'lost' | 'wedged' | 'stopped'

export interface Run {
  readonly id: string
  readonly model: string
  /** As the table of routes has it. */
  readonly route: string
  readonly node: string
  readonly url: string
  /** The request whose call to the node it shares. */
  readonly batch?: string
  readonly out: Outgoing
  readonly sink: Sink
  /** Added to the node's own headers. */
  readonly headers: Readonly<Record<string, string>>
  /**
   * Is asked of a status that another node might not answer with, before anything of it is passed on; true calls the
   * node off. Without it such an answer is let through, and has not begun: whoever takes it sees to it when it is whole.
   */
  readonly decline?: (status: number) => boolean
  /** Is handed a way to cut the call from our side. */
  readonly onCut: (cut: (why: Cut) => void) => void
}

interface Running {
  readonly node: string
  readonly model: string
  /** On the monotonic clock. */
  heardAt: number
}

export class Runs {
  readonly #needs: RunsNeeds
  readonly #running = new Map<string, Running>()

  constructor(needs: RunsNeeds) {
    this.#needs = needs
  }

  /** Running requests by how long nothing has come from their node. */
  *silences(): Iterable<{ readonly node: string; readonly model: string; readonly silentMs: number }> {
    const now = this.#needs.clock.monotonic()
    for (const { node, model, heardAt } of this.#running.values())
      yield { node, model, silentMs: now - heardAt }
  }

  async run(run: Run): Promise<Ending> {
    const { id, model, route, node, url, batch, out, sink, headers } = run
    const { batches, clock, engine, upstream } = this.#needs
    // It was removed while the decision went to the disk.
    if (url === '') return { as: 'unreached', failure: GONE_NODE }
    const running: Running = { node, model, heardAt: clock.monotonic() }
    this.#running.set(id, running)
    const holding = new Holding(this.#needs, id)
    try {
      return await relay({
        sink,
        upstream: batches.upstream(id, batch, upstream(url)),
        out,
        headers: { ...headers, ...(batch !== undefined && { 'X-Quipu-Batch': batch }) },
        decline: status => isRetried(status) && run.decline?.(status) === true,
        hold: (status, contentType) => holding.hold(status, contentType),
        begun: status => {
          if (run.decline === undefined && isRetried(status)) return
          const { heldMs } = holding
          const data = { status, ...(heldMs !== undefined && { heldMs }) }
          engine.attempt('request', id, { type: 'request.begin', data })
        },
        heard: () => {
          running.heardAt = clock.monotonic()
        },
        lastWords: (type, failure) =>
          lastWords(
            dialectOf(route),
            route,
            type,
            `node ${node} went away in the middle of its answer: ${plainly(failure)}`,
          ),
        cut: cut => run.onCut(why => cut(CUTS[why]())),
      })
    } finally {
      this.#running.delete(id)
    }
  }

  /** Tells the law that the attempt came to nothing. Does it say retried, or is that the end of the request? */
  fails(id: string, failure: Failure, status?: number): 'retried' | 'failed' {
    const answer = status === undefined ? {} : { status }
    const reason = reasonOf(failure)
    const spent = this.#isSpent(id, reason)
    const data = { reason, retryable: failure.retryable, spent, bytes: 0, chunks: 0, ...answer }
    const [fact] = this.#needs.engine.attempt('request', id, { type: 'request.fail', data })
    return fact?.type === 'request.retried' ? 'retried' : 'failed'
  }

  /** The same for an answer that another node might not give. */
  refuses(id: string, status: number): 'retried' | 'failed' {
    return this.fails(id, status === 503 ? BUSY_NODE : ERROR_NODE, status)
  }

  /** Nobody waits at the screen for a job: its attempts are its limit. It is not lost for what befell others. */
  #isSpent(id: string, reason: string): boolean {
    const { clock, fleet, requests, retries } = this.#needs
    if (isFree(reason) || requests.state.open.get(id)?.job) return false
    return retriesLeft(retries.state, fleet.state, clock.now()) < 1
  }
}

/** Busy, broken or behind something broken; 501 says "never", so it is an answer. */
const RETRIED: ReadonlySet<number> = new Set([500, 502, 503, 504])

export function isRetried(status: number): boolean {
  return RETRIED.has(status)
}

const GONE_NODE = new Failure('ollama.refused', 'there is no such node any more', { retryable: true })
const BUSY_NODE = new Failure('ollama.busy', 'the node is busy', { retryable: true })
const ERROR_NODE = new Failure('ollama.error', 'the node answered with an error', { retryable: true })

/** Another node may still do it, but not another house. */
const CUTS: Readonly<Record<Cut, () => Failure>> = {
  lost: () => new Failure('ollama.lost', 'the node is lost', { retryable: true }),
  wedged: () => new Failure('ollama.wedged', 'the node is wedged', { retryable: true }),
  stopped: () => new Failure('house.stopped', 'the house stops'),
}

/** As facts have it. */
export function reasonOf({ code }: Failure): string {
  return code.slice(code.indexOf('.') + 1)
}
