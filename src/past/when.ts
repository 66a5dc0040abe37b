/**
 * A moment of a house's past, as people say it: a fact's number, a time, or how long ago.
 *
 *   1290                   right after fact 1,290
 *   2026-11-21 14:03       at that time, or however else moment.ts reads one
 *   10m, "2 hours ago"     so long before now
 *   now
 *
 * What a time means, where wall clocks jump: all facts before the first one, in the journal's order, that is dated later.
 * What a clock that was set back wrote again lies after that, and so is not yet.
 */
import { Refusal } from '../../machines/entity.ts'
import { momentIn, type Zone } from '../moment.ts'

export type Place = { readonly seq: number } | { readonly at: number }

/** Throws a Refusal `request.invalid`, `past.future`. */
export function placeOf(
  text: string,
  { now, last, zone }: { readonly now: number; readonly last: number; readonly zone: Zone },
): Place {
  const said = text.trim().toLowerCase()
  if (said === 'now') return { seq: last }
  if (/^\d{1,10}$/.test(said)) {
    const seq = Number(said)
    if (seq > last) throw future(`fact ${seq} has not happened yet: the journal ends at ${last}`)
    return { seq }
  }
  const at = momentIn(said, { now, zone })
  if (at === undefined) throw nonsense(text)
  if (at > now) throw future(`${text} is still to come`)
  return { at }
}

function nonsense(text: string): Refusal {
  const such = '2026-11-21 14:03, 14:03, 1290 (the number of a fact), -10m, "2 hours ago" or now'
  return new Refusal('request.invalid', `"${text}" is not a moment such as ${such}`)
}

function future(said: string): Refusal {
  return new Refusal('past.future', said)
}
