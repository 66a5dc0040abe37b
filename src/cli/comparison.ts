/** Figures of several policies beside each other, as a table and as JSON. */
import type { Figures } from '../backtest/figures.ts'
import { type Policy, policyNames } from '../backtest/simulation.ts'
import { countOf } from './quantities.ts'
import { type Column, sayTable } from './table.ts'
import { say } from './terminal.ts'
import { type Given, textOf, wordsOf } from './verb.ts'

export interface Compared {
  readonly policy: Policy
  /** The median of the runs, and each run. */
  readonly figures: Figures
  readonly seeds: readonly { readonly seed: number; readonly figures: Figures }[]
}

/** What `--policy` asks for, each once. */
export function policiesOf(given: Given, fallback: string): readonly Policy[] {
  if (textOf(given, 'policy') === 'all') return policyNames
  const text = wordsOf(given, 'policy', policyNames) ?? fallback
  return [...new Set(text.split(','))] as Policy[]
}

/** What all others are measured by. */
const BASE: Policy = 'least-connections'

export interface Ratio {
  /** How many times shorter the p95 of the total is, and how many times fewer the loads are. */
  readonly totalP95: number
  readonly loads: number
}

export function ratioOf(one: Compared, all: readonly Compared[]): Ratio | null {
  const base = all.find(({ policy }) => policy === BASE)
  if (base === undefined) return null
  return {
    totalP95: base.figures.total.p95 / one.figures.total.p95,
    loads: base.figures.loads / one.figures.loads,
  }
}

/** The columns of figures, after one that names whose they are. */
export function figuresTable<Row extends { readonly figures: Figures }>(
  heading: string,
  nameOf: (row: Row) => string,
): readonly Column<Row>[] {
  const spans = (['wait', 'ttft', 'total'] as const).flatMap(name =>
    (['p50', 'p95', 'p99'] as const).map(
      (part): Column<Row> => ({
        name: part === 'p50' ? `${name.toUpperCase()} p50` : part,
        right: true,
        cell: ({ figures }) => secondsOf(figures[name][part]),
      }),
    ),
  )
  return [
    { name: heading, cell: nameOf },
    ...spans,
    { name: 'LOADS', right: true, cell: ({ figures }) => countOf(figures.loads) },
    { name: 'FAIRNESS', right: true, cell: ({ figures: { fairness } }) => fairness?.toFixed(2) ?? '-' },
    { name: 'UNFINISHED', right: true, cell: ({ figures }) => countOf(figures.unfinished) },
  ]
}

export function sayComparison(all: readonly Compared[]): void {
  const compared = all.some(({ policy }) => policy === BASE)
  sayTable(all, [
    ...figuresTable<Compared>('POLICY', ({ policy }) => policy),
    ...(compared
      ? [
          {
            name: 'SHORTER',
            right: true as const,
            cell: (one: Compared) => timesOf(ratioOf(one, all)!.totalP95),
          },
          {
            name: 'FEWER LOADS',
            right: true as const,
            cell: (one: Compared) => timesOf(ratioOf(one, all)!.loads),
          },
        ]
      : []),
  ])
  say()
  say(
    'Seconds. WAIT is until a slot, TTFT until the first byte, TOTAL until the last. FAIRNESS: 1 where clients who',
  )
  say(
    'waited all through a minute were served alike in it, 1/n where one of n was served alone; - where no two did.',
  )
  if (compared) say(`SHORTER and FEWER LOADS: p95 of TOTAL, and loads, of ${BASE} divided by these.`)
}

export function comparisonJson(all: readonly Compared[]): readonly object[] {
  return all.map(one => ({
    policy: one.policy,
    ...one.figures,
    versusLeastConnections: ratioOf(one, all),
    seeds: one.seeds.map(({ seed, figures }) => ({ seed, ...figures })),
  }))
}

/** 0.4, 12.3, 1,234. */
export function secondsOf(ms: number): string {
  const seconds = ms / 1_000
  return seconds < 999.95 ? seconds.toFixed(1) : Math.round(seconds).toLocaleString('en-US')
}

function timesOf(ratio: number): string {
  return Number.isFinite(ratio) ? `${ratio < 9.95 ? ratio.toFixed(2) : ratio.toFixed(0)} ×` : '-'
}
