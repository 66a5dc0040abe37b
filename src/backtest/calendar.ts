/**
 * When a node is away, as people write it:
 *
 *   sat,sun            on these days
 *   18:00-08:00        at these hours of every day, here over midnight
 *   mon,tue 12:00-13:00
 *   2026-01-31T09:05/2026-01-31T10:00     once
 *
 * Days and hours are those of this machine's time zone (TZ).
 */
import { Failure } from '../failure.ts'

/** Milliseconds since the epoch. */
export interface Away {
  readonly from: number
  readonly until: number
}

const DAYS = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'] as const
const RULE = /^(?:([a-z]{3}(?:,[a-z]{3})*))?\s*(?:(\d\d):(\d\d)-(\d\d):(\d\d))?$/

/** When it is away between two times, in order, joined where they touch. Throws a Failure for what is no rule. */
export function awayOf(rules: readonly string[], from: number, until: number): readonly Away[] {
  const all = rules.flatMap(rule => (rule.includes('/') ? [once(rule)] : [...repeated(rule, from, until)]))
  const within = all
    .map(away => ({ from: Math.max(from, away.from), until: Math.min(until, away.until) }))
    .filter(away => away.from < away.until)
    .sort((a, b) => a.from - b.from)
  const joined: Away[] = []
  for (const away of within) {
    const last = joined.at(-1)
    if (last === undefined || away.from > last.until) joined.push(away)
    else joined[joined.length - 1] = { from: last.from, until: Math.max(last.until, away.until) }
  }
  return joined
}

function once(rule: string): Away {
  const [from, until] = rule.split('/').map(text => Date.parse(text.trim()))
  if (from === undefined || until === undefined || !(from < until)) throw unclear(rule)
  return { from, until }
}

function* repeated(rule: string, from: number, until: number): Generator<Away> {
  const [, days, ...clock] = RULE.exec(rule.trim().toLowerCase()) ?? []
  const hours = clock[0] === undefined ? undefined : clock.map(Number)
  const named = days?.split(',') ?? [...DAYS]
  const known = named.every(day => DAYS.some(name => name === day))
  if (!known || (days === undefined && hours === undefined)) throw unclear(rule)
  if (hours?.some((n, i) => n > (i % 2 === 0 ? 24 : 59))) throw unclear(rule)
  const [fromHour = 0, fromMinute = 0, untilHour = 24, untilMinute = 0] = hours ?? []
  const overMidnight = untilHour * 60 + untilMinute <= fromHour * 60 + fromMinute ? 1 : 0
  const first = new Date(from)
  // From the day before: its night may reach into the first day.
  for (let offset = -1; ; offset += 1) {
    const at = (day: number, hour: number, minute: number): number =>
      new Date(first.getFullYear(), first.getMonth(), first.getDate() + offset + day, hour, minute).getTime()
    if (at(0, 0, 0) > until) return
    if (named.includes(DAYS[new Date(at(0, 12, 0)).getDay()]!)) {
      yield { from: at(0, fromHour, fromMinute), until: at(overMidnight, untilHour, untilMinute) }
    }
  }
}

function unclear(rule: string): Failure {
  return new Failure(
    'fleet.off',
    `off: "${rule}" is not a time to be away: days (sat,sun), hours (18:00-08:00), both (sat 12:00-18:00), or from/until (2026-01-31T09:05/2026-01-31T10:00)`,
  )
}
