/** What came of a run, in a few figures; and of several runs, their medians. Milliseconds. */
import { fairness } from './fairness.ts'
import type { Outcome } from './site.ts'
import type { Run } from './world.ts'

export interface Quantiles {
  readonly p50: number
  readonly p95: number
  readonly p99: number
}

export interface Figures {
  /** From coming to a slot, to the first byte, to the last. Of requests that were answered. */
  readonly wait: Quantiles
  readonly ttft: Quantiles
  readonly total: Quantiles
  readonly loads: number
  /** See fairness.ts; null where it never came to the test. */
  readonly fairness: number | null
  /** Requests that got no whole answer. */
  readonly unfinished: number
  /** From the first request to the last answer. */
  readonly spanMs: number
}

export function figuresOf({ outcomes, loads, startedAt }: Run): Figures {
  const answered = outcomes.filter(({ endedAt }) => endedAt !== undefined)
  const since = (moment: (outcome: Outcome) => number): Quantiles =>
    quantiles(answered.map(outcome => moment(outcome) - outcome.arrival.at))
  return {
    wait: since(({ startedAt }) => startedAt!),
    ttft: since(({ begunAt }) => begunAt!),
    total: since(({ endedAt }) => endedAt!),
    loads,
    fairness: fairness(outcomes),
    unfinished: outcomes.length - answered.length,
    spanMs: answered.reduce((last, { endedAt }) => Math.max(last, endedAt! - startedAt), 0),
  }
}

/** The median of each figure by itself. */
export function median(all: readonly Figures[]): Figures {
  const of = (figure: (figures: Figures) => number): number => quantile(all.map(figure), 0.5)
  const each = (name: 'wait' | 'ttft' | 'total'): Quantiles => ({
    p50: of(figures => figures[name].p50),
    p95: of(figures => figures[name].p95),
    p99: of(figures => figures[name].p99),
  })
  const fair = all.flatMap(({ fairness }) => fairness ?? [])
  return {
    wait: each('wait'),
    ttft: each('ttft'),
    total: each('total'),
    loads: of(({ loads }) => loads),
    fairness: fair.length === 0 ? null : quantile(fair, 0.5),
    unfinished: of(({ unfinished }) => unfinished),
    spanMs: of(({ spanMs }) => spanMs),
  }
}

/** Until it was sent to a node: what a house writes down as the wait. Waiting for a slot inside a node is not in it. */
export function untilSent({ outcomes }: Run): Quantiles {
  const answered = outcomes.filter(({ endedAt }) => endedAt !== undefined)
  return quantiles(answered.map(({ sentAt, arrival }) => sentAt! - arrival.at))
}

export function quantiles(values: readonly number[]): Quantiles {
  const sorted = [...values].sort((a, b) => a - b)
  return { p50: rank(sorted, 0.5), p95: rank(sorted, 0.95), p99: rank(sorted, 0.99) }
}

export function quantile(values: readonly number[], part: number): number {
  return rank(
    [...values].sort((a, b) => a - b),
    part,
  )
}

/** The nearest rank: one of the values, and 0 where there is none. */
function rank(sorted: readonly number[], part: number): number {
  return sorted[Math.max(0, Math.ceil(part * sorted.length) - 1)] ?? 0
}
