/**
 * Carries out what a house asks to be done to models, each command once.
 *
 *   asked ──▶ waiting ──▶ under way ──▶ done, failed or cancelled ──(an hour, or a thousand others)──▶ forgotten
 *               └────────────┴── cancel() ──▲
 *
 * A command belongs to its id, not to whoever asked: it goes on when the stream breaks, and the same id again joins it,
 * or is told how it ended. So a house that was killed in the middle of a pull asks again and hears the rest.
 *
 * What is known of commands is in memory only. Should the agent itself be killed, the same id begins the same command
 * anew: a pull then goes on from Ollama's partial files, and everything else comes to the same in the end; but a `delete`
 * that was done before is answered with 404.
 */
import type { Clock, Timer } from '../clock.ts'
import { Failure } from '../failure.ts'
import { NodeAnswer } from '../ollama/ollama.ts'
import type { CommandEnd, CommandProgress, CommandStep, ModelCommandRequest } from '../rpc/messages.ts'
import { type Lane, type Order, read, type Server } from './orders.ts'

export interface CommandsNeeds {
  readonly clock: Clock
  readonly ollama: Server
  /** Hears that models are different by now. */
  readonly changed?: (what: 'present' | 'resident') => void
  /** Until something must have moved. Ollama reads half a terabyte from a slow disk without a word, to verify or load it. */
  readonly stallMs?: number
  readonly atOnce?: Readonly<Record<Lane, number>>
  readonly waitingMax?: number
  readonly endedMax?: number
}

const STALL_MS = 60 * 60_000
/** More downloads at once share one line, and none is there earlier. */
const AT_ONCE: Readonly<Record<Lane, number>> = { transfer: 2, short: 4 }
const WAITING_MAX = 64
const ENDED_MAX = 1_000
const REMEMBERED_MS = 3_600_000
/** One step at most in that time to each watcher; Ollama says as much every 60 ms. */
const STEP_GAP_MS = 100
const WATCHERS_MAX = 64
const REASON_LENGTH_MAX = 1_024
/** Ollama did not answer. */
const NO_ANSWER_STATUS = 502

interface Job {
  readonly id: string
  readonly order: Order
  readonly abort: AbortController
  /** Those who wait for news; whether it is over. */
  readonly heard: Set<(over: boolean) => void>
  watchers: number
  /** When it began, once it has. */
  begunAt: number | undefined
  step: CommandStep | undefined
  end: CommandEnd | undefined
  stall: Timer | undefined
  /** The agent ends: it is broken off, and that is not its end. */
  dropped: boolean
}

interface Ended {
  readonly print: string
  readonly end: CommandEnd
  readonly at: number
}

export class Commands {
  readonly #needs: CommandsNeeds
  readonly #limits: Required<Pick<CommandsNeeds, 'stallMs' | 'atOnce' | 'waitingMax' | 'endedMax'>>
  /** Waiting or under way, by id, in the order they came. */
  readonly #jobs = new Map<string, Job>()
  readonly #running: Record<Lane, number> = { transfer: 0, short: 0 }
  /** By id, in the order they ended. */
  readonly #ended = new Map<string, Ended>()
  #closed = false

  constructor(needs: CommandsNeeds) {
    this.#needs = needs
    const { stallMs = STALL_MS, atOnce = AT_ONCE, waitingMax = WAITING_MAX, endedMax = ENDED_MAX } = needs
    this.#limits = { stallMs, atOnce, waitingMax, endedMax }
  }

  /** Commands that are under way at Ollama now. */
  get running(): number {
    return this.#running.transfer + this.#running.short
  }

  /**
   * Begins a command, or joins the one of that id, and tells how it goes; the last word is its end. The signal only means
   * that nobody listens any more. Throws a Failure: `agent.order`, `agent.known`, `agent.busy`, `agent.closing`.
   */
  command(request: ModelCommandRequest, signal: AbortSignal): AsyncIterable<CommandProgress> {
    if (this.#closed) throw closing()
    const order = read(request)
    this.#forget()
    const ended = this.#ended.get(request.id)
    const job = this.#jobs.get(request.id)
    const known = ended?.print ?? job?.order.print
    if (known !== undefined && known !== order.print) {
      throw new Failure('agent.known', `another command had the id ${request.id}`)
    }
    if (ended !== undefined) return once({ end: ended.end })
    return this.#watch(job ?? this.#take(request.id, order), signal)
  }

  /** Whether there was a command of that id under way. Ollama is told at once; what it has done stays done. */
  cancel(id: string): boolean {
    const job = this.#jobs.get(id)
    if (job === undefined) return false
    this.#breakOff(job, 'cancelled')
    return true
  }

  /** Takes nothing new. What is over soon may end; the rest is broken off, and goes on with the agent's next run. */
  letGo(): void {
    this.#closed = true
    for (const job of [...this.#jobs.values()]) {
      if (job.begunAt === undefined || job.order.lane === 'transfer') this.#drop(job)
    }
  }

  close(): void {
    this.#closed = true
    for (const job of [...this.#jobs.values()]) this.#drop(job)
  }

  #drop(job: Job): void {
    job.dropped = true
    job.stall?.cancel()
    this.#jobs.delete(job.id)
    job.abort.abort()
    tell(job, true)
  }

  #take(id: string, order: Order): Job {
    const waiting = [...this.#jobs.values()].filter(({ begunAt }) => begunAt === undefined).length
    if (!this.#hasRoom(order.lane) && waiting >= this.#limits.waitingMax) {
      throw busy(`${waiting} commands wait already`)
    }
    const job: Job = {
      id,
      order,
      abort: new AbortController(),
      heard: new Set(),
      watchers: 0,
      begunAt: undefined,
      step: { status: 'waiting' },
      end: undefined,
      stall: undefined,
      dropped: false,
    }
    this.#jobs.set(id, job)
    this.#proceed()
    return job
  }

  #hasRoom(lane: Lane): boolean {
    return this.#running[lane] < this.#limits.atOnce[lane]
  }

  /** Begins whatever there is room for. */
  #proceed(): void {
    for (const job of this.#jobs.values()) {
      if (job.begunAt === undefined && this.#hasRoom(job.order.lane)) this.#begin(job)
    }
  }

  #begin(job: Job): void {
    const { clock, ollama } = this.#needs
    const { lane } = job.order
    this.#running[lane] += 1
    job.begunAt = clock.monotonic()
    job.step = undefined
    this.#wind(job)
    const told = (step: CommandStep): void => {
      if (job.end !== undefined || job.dropped || same(step, job.step)) return
      job.step = step
      this.#wind(job)
      tell(job, false)
    }
    job.order
      .carryOut(ollama, told, job.abort.signal)
      .then(
        () => this.#finish(job, { outcome: 'OUTCOME_DONE', httpStatus: 0, reason: '' }),
        error => {
          if (!(error instanceof Failure)) throw error
          const httpStatus = error instanceof NodeAnswer ? error.status : NO_ANSWER_STATUS
          const reason = withoutQueries(error.message).slice(0, REASON_LENGTH_MAX)
          this.#finish(job, { outcome: 'OUTCOME_FAILED', httpStatus, reason })
        },
      )
      .finally(() => {
        this.#running[lane] -= 1
        if (!this.#closed) this.#proceed()
      })
  }

  /** Gives it another while to move. */
  #wind(job: Job): void {
    job.stall?.cancel()
    job.stall = this.#needs.clock.after(this.#limits.stallMs, () => this.#breakOff(job, 'stalled'))
  }

  #breakOff(job: Job, why: 'cancelled' | 'stalled'): void {
    const reason =
      why === 'cancelled' ? '' : `nothing moved for ${Math.round(this.#limits.stallMs / 1_000)} s`
    this.#finish(
      job,
      why === 'cancelled'
        ? { outcome: 'OUTCOME_CANCELLED', httpStatus: 0, reason }
        : { outcome: 'OUTCOME_FAILED', httpStatus: NO_ANSWER_STATUS, reason },
    )
    job.abort.abort()
  }

  #finish(job: Job, how: Omit<CommandEnd, 'ms'>): void {
    if (job.end !== undefined || job.dropped) return
    const { clock, changed } = this.#needs
    const { id, order, begunAt } = job
    const now = clock.monotonic()
    job.end = { ...how, ms: begunAt === undefined ? 0 : Math.round(now - begunAt) }
    job.stall?.cancel()
    this.#jobs.delete(id)
    this.#ended.set(id, { print: order.print, end: job.end, at: now })
    this.#forget()
    // Even a pull that failed may have left something.
    if (begunAt !== undefined && order.touches !== 'nothing') changed?.(order.touches)
    tell(job, true)
  }

  #forget(): void {
    const since = this.#needs.clock.monotonic() - REMEMBERED_MS
    for (const [id, { at }] of this.#ended) {
      if (at >= since && this.#ended.size <= this.#limits.endedMax) return
      this.#ended.delete(id)
    }
  }

  /** The newest step as often as the gap allows, those in between left out; then the last one, and the end. */
  async *#watch(job: Job, signal: AbortSignal): AsyncGenerator<CommandProgress> {
    if (job.watchers >= WATCHERS_MAX) throw busy(`${WATCHERS_MAX} listen to the command ${job.id} already`)
    const { clock } = this.#needs
    let told: CommandStep | undefined
    let toldAt = Number.NEGATIVE_INFINITY
    job.watchers += 1
    try {
      while (!signal.aborted) {
        const { step, end } = job
        const gapMs = toldAt + STEP_GAP_MS - clock.monotonic()
        if (step !== undefined && step !== told && (end !== undefined || gapMs <= 0)) {
          told = step
          toldAt = clock.monotonic()
          yield { step }
        } else if (end !== undefined) {
          yield { end }
          return
        } else if (job.dropped) {
          throw closing()
        } else {
          await news(job, clock, signal, step === undefined || step === told ? undefined : gapMs)
        }
      }
    } finally {
      job.watchers -= 1
    }
  }
}

/** Resolves with the next step, or where one waits to be told, after that while; and in any case with the end. */
function news(job: Job, clock: Clock, signal: AbortSignal, gapMs: number | undefined): Promise<void> {
  return new Promise(resolve => {
    const wake = (): void => {
      timer?.cancel()
      job.heard.delete(heard)
      signal.removeEventListener('abort', wake)
      resolve()
    }
    const heard = (over: boolean): void => {
      if (over || gapMs === undefined) wake()
    }
    const timer = gapMs === undefined ? undefined : clock.after(gapMs, wake)
    job.heard.add(heard)
    signal.addEventListener('abort', wake, { once: true })
  })
}

function tell(job: Job, over: boolean): void {
  for (const heard of [...job.heard]) heard(over)
}

async function* once(progress: CommandProgress): AsyncGenerator<CommandProgress> {
  yield progress
}

/** Registries hand out addresses that are keys: whoever has the query may download. Ollama quotes them. */
function withoutQueries(text: string): string {
  return text.replace(/(https?:\/\/[^\s"?]+)\?[^\s"]*/g, '$1?…')
}

function same(a: CommandStep, b: CommandStep | undefined): boolean {
  return (
    a.status === b?.status &&
    a.digest === b.digest &&
    a.totalBytes === b.totalBytes &&
    a.completedBytes === b.completedBytes
  )
}

function busy(message: string): Failure {
  return new Failure('agent.busy', message, { retryable: true })
}

function closing(): Failure {
  return new Failure('agent.closing', 'the agent ends; its next run goes on with the same id', {
    retryable: true,
  })
}
