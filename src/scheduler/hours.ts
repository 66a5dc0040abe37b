/** Is a node wanted now, by its own hours? Pure but for the time zone, which is the house's. */
import { parseHours, type Window } from '../../machines/hours.ts'

/** A few texts, asked about again and again: for each node, at each decision. */
const read = new Map<string, readonly Window[]>()
const READ_MAX = 1_000

/**
 * `now` in milliseconds since the epoch. Compared on the clock on the wall, so that a window begins and ends at the same
 * hour on the days when that clock is put forward or back.
 */
export function within(hours: string, now: number): boolean {
  if (hours === '') return true
  const date = new Date(now)
  const minute = date.getHours() * 60 + date.getMinutes()
  const today = date.getDay()
  const yesterday = (today + 6) % 7
  return windowsOf(hours).some(({ days, from, to }) =>
    from < to
      ? days.has(today) && minute >= from && minute < to
      : (days.has(today) && minute >= from) || (days.has(yesterday) && minute < to),
  )
}

function windowsOf(hours: string): readonly Window[] {
  const known = read.get(hours)
  if (known !== undefined) return known
  const windows = parseHours(hours) ?? []
  if (read.size >= READ_MAX) read.clear()
  read.set(hours, windows)
  return windows
}
