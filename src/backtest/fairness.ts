/**
 * Did clients who wanted more than they got get alike? Jain's index of the tokens served to each client that had a
 * request waiting all through a minute, averaged over the minutes in which at least two had: 1 where all were served
 * alike, 1/n where one of n was served alone. (Jain, Chiu, Hawe 1984. A client who asks for little is served little,
 * and that is no unfairness: hence only those who waited.)
 */
import type { Outcome } from './site.ts'

const WINDOW_MS = 60_000

export function fairness(outcomes: readonly Outcome[]): number | null {
  const start = outcomes[0]?.arrival.at ?? 0
  const windows = new Map<number, Map<string, number>>()
  const clients = new Map<string, Outcome[]>()
  for (const outcome of outcomes) {
    const { client } = outcome.arrival
    const own = clients.get(client)
    if (own === undefined) clients.set(client, [outcome])
    else own.push(outcome)
  }
  for (const [client, own] of clients) {
    const served = servedIn(own, start)
    for (const window of waitingAll(own, start)) {
      let row = windows.get(window)
      if (row === undefined) {
        row = new Map()
        windows.set(window, row)
      }
      row.set(client, served.get(window) ?? 0)
    }
  }
  const indices = [...windows.values()].filter(row => row.size > 1).map(row => jain([...row.values()]))
  return indices.length === 0 ? null : indices.reduce((sum, index) => sum + index, 0) / indices.length
}

function jain(values: readonly number[]): number {
  const sum = values.reduce((a, b) => a + b, 0)
  const squares = values.reduce((a, b) => a + b * b, 0)
  return squares === 0 ? 1 : (sum * sum) / (values.length * squares)
}

/** Windows through all of which at least one of a client's requests waits. */
function* waitingAll(outcomes: readonly Outcome[], start: number): Generator<number> {
  let from = Number.NaN
  let until = Number.NaN
  // In order of arrival, so that what touches can be joined.
  for (const { arrival, startedAt } of outcomes) {
    if (startedAt === undefined) continue
    if (!(arrival.at <= until)) {
      yield* whole(from, until, start)
      from = arrival.at
      until = startedAt
    } else until = Math.max(until, startedAt)
  }
  yield* whole(from, until, start)
}

function* whole(from: number, until: number, start: number): Generator<number> {
  if (Number.isNaN(from)) return
  const last = Math.floor((until - start) / WINDOW_MS)
  for (let window = Math.ceil((from - start) / WINDOW_MS); window < last; window += 1) yield window
}

/** Tokens by window, as if each request's came evenly while it ran. */
function servedIn(outcomes: readonly Outcome[], start: number): ReadonlyMap<number, number> {
  const served = new Map<number, number>()
  for (const { arrival, startedAt, endedAt } of outcomes) {
    if (startedAt === undefined || endedAt === undefined) continue
    const tokens = arrival.promptTokens + arrival.outputTokens
    const from = startedAt - start
    const until = Math.max(endedAt - start, from + 1)
    for (let w = Math.floor(from / WINDOW_MS); w * WINDOW_MS < until; w += 1) {
      const share = Math.min(until, (w + 1) * WINDOW_MS) - Math.max(from, w * WINDOW_MS)
      served.set(w, (served.get(w) ?? 0) + (tokens * share) / (until - from))
    }
  }
  return served
}
