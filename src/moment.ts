/**
 * Times as people say them:
 *
 *   2026-11-21 14:03       also with a T, with seconds, with a zone; a day alone is its first moment
 *   1795269780000          milliseconds since the epoch
 *   14:03                  the last time it was that o'clock
 *   90m, -10m, 2 hours ago so long before now: s, m, h, d, w
 */

/** What a time without a zone is meant in. */
export type Zone = 'local' | 'UTC'

/** Milliseconds since the epoch; undefined where that is no time. */
export function momentIn(
  text: string,
  { now, zone }: { readonly now: number; readonly zone: Zone },
): number | undefined {
  const said = text.trim().toLowerCase()
  return agoOf(said, now) ?? clockOf(said, now, zone) ?? dateIn(said, zone)
}

const UNITS_MS: Readonly<Record<string, number>> = {
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 604_800_000,
}

/** `90s`, `-90s`, `10m ago`, `2 hours ago`. */
function agoOf(said: string, now: number): number | undefined {
  const [, figure, unit = ''] = /^-?\s*(\d+(?:\.\d+)?)\s*([smhdw])[a-z]*(?: ago)?$/.exec(said) ?? []
  return figure === undefined ? undefined : now - Math.round(Number(figure) * UNITS_MS[unit]!)
}

/** `14:03` or `14:03:30`: today, or yesterday where that is still to come. */
function clockOf(said: string, now: number, zone: Zone): number | undefined {
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
  const today = dateIn(`${day(now)} ${time}`, zone)
  if (today === undefined || today <= now) return today
  return dateIn(`${day(now - UNITS_MS.d!)} ${time}`, zone)
}

/** The same where nothing hangs on now: a date, or milliseconds. */
export function dateIn(text: string, zone: Zone): number | undefined {
  const said = text.trim().toLowerCase()
  if (/^\d{11,15}$/.test(said)) return Number(said)
  const [, day, time = '00:00', zoned] =
    /^(\d{4}-\d\d-\d\d)(?:[ t](\d\d:\d\d(?::\d\d(?:\.\d{1,3})?)?))?\s*(z|[+-]\d\d:?\d\d)?$/.exec(said) ?? []
  if (day === undefined) return undefined
  const at = Date.parse(`${day}T${time}${(zoned ?? (zone === 'UTC' ? 'z' : '')).toUpperCase()}`)
  return Number.isNaN(at) ? undefined : at
}
