/**
 * Where verbs ask for the past: a running house; or a folder, of which a copy is read, so that nothing in it is changed
 * and a house may be running on it.
 */
import { systemClock } from '../clock.ts'
import { readConfig } from '../config.ts'
import { Failure } from '../failure.ts'
import type { Diff, State } from '../gateway/schema/past.ts'
import type { Told } from '../gateway/schema/words.ts'
import { archivesIn, openLevelJournal } from '../journal/level.ts'
import { liveConfig } from '../live.ts'
import { Past } from '../past/past.ts'
import { placeOf } from '../past/when.ts'
import { Snapshots } from '../snapshots/snapshots.ts'
import { clientOf } from './client.ts'
import { type Copy, ofFolder, takeCopy } from './copy.ts'
import { countOf, timeOf } from './quantities.ts'
import { told } from './settings.ts'
import { interruption } from './signals.ts'
import { progress, remark } from './terminal.ts'
import { type Given, type Options, textOf } from './verb.ts'

export type Then = Told<typeof State>
export type Difference = Told<typeof Diff>

export const pastOptions: Options = {
  data: { value: 'DIR', sentence: 'read (a copy of) this folder, and ask no house' },
  ...told({
    archiveDir: 'folder of archive files, as seen from that one',
    host: 'where the house is',
    port: 'the port it listens on',
  }),
}

/** How moments may be said; for --help. */
export const MOMENTS =
  'A MOMENT is a time ("2026-11-21 14:03", in the time zone of this machine unless it says another; 14:03 alone is the ' +
  'last time it was that o\'clock), so long ago (-10m, "2 hours ago"), the number of a fact (right after it), or now. What ' +
  'a time means where clocks were set: everything before the first fact that is dated later.'

export function stateAt(given: Given, at: string): Promise<Then> {
  const dir = textOf(given, 'data')
  if (dir !== undefined) return inCopy(given, dir, (past, signal) => past.state(at, signal))
  return clientOf(given).ask<Then>('/quipu/state', { query: { at: plainly(at) } })
}

export function differenceOf(given: Given, from: string, to: string): Promise<Difference> {
  const dir = textOf(given, 'data')
  if (dir !== undefined) return inCopy(given, dir, (past, signal) => past.difference(from, to, signal))
  return clientOf(given).ask<Difference>('/quipu/diff', { query: { from: plainly(from), to: plainly(to) } })
}

/** As the house understands it, wherever that is. */
function plainly(text: string): string {
  const last = Number.POSITIVE_INFINITY
  const place = placeOf(text, { now: systemClock.now(), last, zone: 'local' })
  if ('at' in place) return String(place.at)
  return Number.isFinite(place.seq) ? String(place.seq) : 'now'
}

async function inCopy<T>(
  { flags }: Given,
  dir: string,
  ask: (past: Past, signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const signal = interruption()
  const config = readConfig(flags)
  const clock = systemClock
  let copy: Copy | undefined
  try {
    copy = await takeCopy(dir, signal)
    const journal = await openLevelJournal({
      dir: copy.dir,
      archiveDir: archivesIn(dir, config.archiveDir),
      clock,
    })
    try {
      // Where they are; they are only read.
      const snapshots = new Snapshots({ dir, journal, clock, everyFacts: 1, warn: remark })
      const past = new Past({
        journal,
        snapshots,
        clock,
        starveMs: set => liveConfig(config, set).starveMs,
        zone: 'local',
        progress: seq => progress(`${countOf(seq)} of ${countOf(journal.durable, 'fact')} read`),
      })
      return await ask(past, signal)
    } finally {
      await journal.close()
    }
  } catch (error) {
    if (signal.aborted) throw new Failure('past.stopped', 'Stopped before the moment was reached.')
    throw ofFolder(dir, copy?.dir ?? dir, error)
  } finally {
    progress('')
    await copy?.remove()
  }
}

/** 2026-11-21 14:03:00.000, right after fact 1,290 (14:02:58.120). */
export function momentText({ at, seq, factAt }: Then['moment']): string {
  if (seq === 0) return `${at === undefined ? '' : `${timeOf(at)}, `}before the first fact`
  if (at === undefined) return `right after fact ${countOf(seq)}, ${timeOf(factAt)}`
  const [day, time] = timeOf(factAt).split(' ')
  return `${timeOf(at)}, right after fact ${countOf(seq)} (${timeOf(at).startsWith(day!) ? time : timeOf(factAt)})`
}
