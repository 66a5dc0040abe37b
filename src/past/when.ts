/**
 * A moment of a house's past, as people say it: a fact's number, a time, or how long ago.
 *
 *   1290                   right after fact 1,290
 *   2026-11-21 14:03       at that time; also with a T, with seconds, with a zone, as milliseconds since the epoch
 *   14:03                  the last time it was that o'clock
 *   -10m, 10 minutes ago   so long before now
 *   now
 *
 * What a time means, where wall clocks jump: all facts before the first one, in the journal's order, that is dated later.
 * What a clock that was set back wrote again lies after that, and so is not yet.
 */
import { Refusal } from '../../machines/entity.ts'

export type Place = { readonly seq: number } | { readonly at: number }

/** `zone`: what a time without one is meant in. Throws a Refusal `request.invalid`, `past.future`. */
export function placeOf(
  text: string,
  { now, last, zone }: { readonly now: number; readonly last: number; readonly zone: 'local' | 'UTC' },
): Place {
  const said = text.trim().toLowerCase()
  if (said === 'now') return { seq: last }
  if (/^\d{1,10}$/.test(said)) {
    const seq = Number(said)
    if (seq > last) throw future(`fact ${seq} has not happened yet: the journal ends at ${last}`)
    return { seq }
  }
  const at = agoOf(said, now) ?? clockOf(said, now, zone) ?? dateOf(said, zone)
  if (at === undefined) throw nonsense(text)
  if (at > now) throw future(`${text} is still to come`)
  return { at }
}

const UNITS_MS: Readonly<Record<string, number>> = {
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 604_800_000,
}

/** `-90s`, `10m ago`, `2 hours ago`. */
function agoOf(said: string, now: number): number | undefined {
  const [, figure, unit = ''] =
    /^-\s*(\d+(?:\.\d+)?)\s*([smhdw])[a-z]*$/.exec(said) ??
    /^(\d+(?:\.\d+)?)\s*([smhdw])[a-z]* ago$/.exec(said) ??
    []
  return figure === undefined ? undefined : now - Math.round(Number(figure) * UNITS_MS[unit]!)
}

/** `14:03` or `14:03:30`: today, or yesterday where that is still to come. */
function clockOf(said: string, now: number, zone: 'local' | 'UTC'): number | undefined {
  if (!/^\d\d?:\d\d(:\d\d)?$/.test(said)) return undefined
  const day = (at: number): string => {
    const date = new Date(at)
    const [year, month, of] =
      zone === 'UTC'
        ? [date.getUTCFullYear(), date.getUTCMonth(), date.getUTCDate()]
        : [date.getFullYear(), date.getMonth(), date.getDate()]
    return `${year}-${String(month + 1).padStart(2, '0')}-${String(of).padStart(2, '0')}`
  }
  const time = said.padStart(said.length + (said.indexOf(':') === 1 ? 1 : 0), '0')
  const today = dateOf(`${day(now)} ${time}`, zone)
  if (today === undefined || today <= now) return today
  return dateOf(`${day(now - UNITS_MS.d!)} ${time}`, zone)
}

function dateOf(said: string, zone: 'local' | 'UTC'): number | undefined {
  if (/^\d{11,15}$/.test(said)) return Number(said)
  const [, day, time = '00:00', zoned] =
    /^(\d{4}-\d\d-\d\d)(?:[ t](\d\d:\d\d(?::\d\d(?:\.\d{1,3})?)?))?\s*(z|[+-]\d\d:?\d\d)?$/.exec(said) ?? []
  if (day === undefined) return undefined
  const at = Date.parse(`${day}T${time}${(zoned ?? (zone === 'UTC' ? 'z' : '')).toUpperCase()}`)
  return Number.isNaN(at) ? undefined : at
}

function nonsense(text: string): Refusal {
  const such = '2026-11-21 14:03, 14:03, 1290 (the number of a fact), -10m, "2 hours ago" or now'
  return new Refusal('request.invalid', `"${text}" is not a moment such as ${such}`)
}

function future(said: string): Refusal {
  return new Refusal('past.future', said)
}
