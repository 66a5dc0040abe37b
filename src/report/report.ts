/** The report as data, in a fixed order: what is written as JSON, and what the page is made of. */
import type { Tally } from './tally.ts'

export type Report = ReturnType<typeof reportOf>

/** What an audit found. */
export interface Finding {
  readonly id: string
  /** The last fact that verifies, and its hash. */
  readonly head: { readonly seq: number; readonly hash: string }
  /** The first thing that is wrong; undefined where all is well. */
  readonly damage?:
    | { readonly code: string; readonly message: string; readonly seq: number | null }
    | undefined
}

export function reportOf(tally: Tally, { id, head, damage }: Finding) {
  const { all, periods, first, last } = tally
  const edge = (at: number | undefined): string | null => (at === undefined ? null : iso(at))
  return {
    journal: {
      id,
      whole: damage === undefined,
      ...(damage !== undefined && { damage }),
      facts: last?.seq ?? 0,
      head: `${head.seq}:${head.hash}`,
      first: edge(first?.at),
      last: edge(last?.at),
      forgotten: tally.forgotten,
      clockSetBack: tally.setBack,
      longestSilence: tally.silence,
    },
    requests: { ...all.row('all'), open: tally.openCount },
    ended: {
      periodMs: periods.lengthMs,
      periods: periods.all.map(({ startAt, counts }) => ({ start: iso(startAt), ...sorted(counts) })),
    },
    clients: tally.clients.table(),
    models: tally.models.table(),
    nodes: tally.nodes.table(),
    health: [...tally.healths].sort(byName).map(([node, health]) => ({ node, ...health })),
    refused: sorted(tally.refused),
    asked: tally.asked.map(({ by, types }) => ({ by, facts: Object.fromEntries(types) })),
    deeds: {
      left: tally.deedsLeft + Math.max(0, tally.deeds.length - DEEDS_SHOWN),
      last: tally.deeds.slice(-DEEDS_SHOWN).map(({ at, ...deed }) => ({ ...deed, at: iso(at) })),
    },
    facts: sorted(tally.types),
  }
}

const DEEDS_SHOWN = 1_000

/** Date.toISOString() throws beyond the years that it knows; a journal may hold any number. */
export function iso(at: number): string {
  const date = new Date(at)
  return Number.isNaN(date.getTime()) ? String(at) : date.toISOString()
}

function sorted(counts: ReadonlyMap<string, number>): Readonly<Record<string, number>> {
  return Object.fromEntries([...counts].sort(byName))
}

function byName([a]: readonly [string, unknown], [b]: readonly [string, unknown]): number {
  return a < b ? -1 : 1
}
