/** How many requests were over in each hour, day and week, of which sort, and how long did they take? */

import { isSimulated } from './fleet.ts'
import { projection } from './projection.ts'
import { addTo, emptySpread, type Spread } from './spread.ts'

export type Period = 'hour' | 'day' | 'week'
export type Sort = 'generate' | 'chat' | 'embedding' | 'other'

/** What was over in one hour, day or week. */
export interface Span {
  /** When it began: a full hour, midnight, Monday midnight, UTC; milliseconds since the epoch. */
  readonly startAt: number
  total: number
  readonly sorts: Record<Sort, number>
  /** Of all: answered whole, whatever the status. */
  completed: number
  /** Of all: sent, at last, to a simulated node. */
  simulated: number
  promptTokens: number
  outputTokens: number
  /** Milliseconds from admission to the end, of those answered without an error; all count alike. */
  readonly latencies: Spread
  /** All of these together. */
  latencyMs: number
}

interface Traffic {
  readonly spans: Readonly<Record<Period, Map<number, Span>>>
  readonly open: Map<string, Sort>
  /** Names of simulated nodes. */
  readonly simulated: Set<string>
}

export type TrafficProjection = ReturnType<typeof traffic>

const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS
const WEEK_MS = 7 * DAY_MS
/** The epoch was a Thursday. */
const MONDAY_MS = 4 * DAY_MS

/**
 * Where the span that holds a time begins, and how many spans with requests in them are kept: 14 days, a year, five
 * years. Counted and not dated, so that one wrong clock does not wipe out what was before.
 */
const PERIODS: Readonly<
  Record<
    Period,
    { readonly startAt: (at: number) => number; readonly lengthMs: number; readonly keptMax: number }
  >
> = {
  hour: { startAt: at => at - modulo(at, HOUR_MS), lengthMs: HOUR_MS, keptMax: 336 },
  day: { startAt: at => at - modulo(at, DAY_MS), lengthMs: DAY_MS, keptMax: 366 },
  week: { startAt: at => at - modulo(at - MONDAY_MS, WEEK_MS), lengthMs: WEEK_MS, keptMax: 261 },
}

/** What was over in some period since a time, also where that falls into the middle of one; newest first. */
export function spansSince({ spans }: Traffic, period: Period, sinceAt: number): readonly Span[] {
  return [...spans[period].values()]
    .filter(({ startAt }) => startAt + PERIODS[period].lengthMs > sinceAt)
    .sort((a, b) => b.startAt - a.startAt)
}

const SORTS: Readonly<Record<string, Sort>> = {
  '/api/generate': 'generate',
  '/v1/completions': 'generate',
  '/api/chat': 'chat',
  '/v1/chat/completions': 'chat',
  '/v1/responses': 'chat',
  '/v1/messages': 'chat',
  '/api/embed': 'embedding',
  '/api/embeddings': 'embedding',
  '/v1/embeddings': 'embedding',
}

export const traffic = () =>
  projection(
    {
      spans: { hour: new Map(), day: new Map(), week: new Map() },
      open: new Map(),
      simulated: new Set(),
    } as Traffic,
    {
      'node.registered': ({ simulated }, { id, data }) => {
        if (isSimulated(data)) simulated.add(id)
        else simulated.delete(id)
      },
      'request.admitted': ({ open }, { id, data: { path } }) => void open.set(id, SORTS[path] ?? 'other'),
      'request.completed': (self, { id, at, data }) => {
        for (const span of over(self, id, at, data.node)) {
          span.completed += 1
          span.promptTokens += data.promptTokens ?? 0
          span.outputTokens += data.outputTokens ?? 0
          if (data.status >= 400) continue
          addTo(span.latencies, data.totalMs)
          span.latencyMs += data.totalMs
        }
      },
      'request.failed': (self, { id, at, data }) => void over(self, id, at, data.node),
      'request.expired': (self, { id, at }) => void over(self, id, at, undefined),
      'request.abandoned': (self, { id, at, data }) => void over(self, id, at, data.node),
      'request.cancelled': (self, { id, at, data }) => void over(self, id, at, data.node),
    },
  )

/** Counts the end of a request, and answers with the spans it fell into. */
function over(self: Traffic, id: string, at: number, node: string | undefined): readonly Span[] {
  const sort = self.open.get(id) ?? 'other'
  self.open.delete(id)
  const spans = (Object.keys(PERIODS) as Period[]).map(period => spanAt(self.spans[period], period, at))
  for (const span of spans) {
    span.total += 1
    span.sorts[sort] += 1
    if (node !== undefined && self.simulated.has(node)) span.simulated += 1
  }
  return spans
}

function spanAt(spans: Map<number, Span>, period: Period, at: number): Span {
  const startAt = PERIODS[period].startAt(at)
  let span = spans.get(startAt)
  if (span !== undefined) return span
  span = {
    startAt,
    total: 0,
    sorts: { generate: 0, chat: 0, embedding: 0, other: 0 },
    completed: 0,
    simulated: 0,
    promptTokens: 0,
    outputTokens: 0,
    latencies: emptySpread(Number.POSITIVE_INFINITY),
    latencyMs: 0,
  }
  spans.set(startAt, span)
  if (spans.size > PERIODS[period].keptMax) spans.delete(Math.min(...spans.keys()))
  return span
}

function modulo(n: number, by: number): number {
  return ((n % by) + by) % by
}
