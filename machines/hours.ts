/**
 * The hours at which a node is wanted, as people write them: `18:00-08:00`, or `mon-fri@18:00-08:00`, or `sat-sun`, and
 * several with `+` between. Part of the law because the text stands in facts.
 */
export interface Window {
  /** The days it begins on; 0 is Sunday. */
  readonly days: ReadonlySet<number>
  /** Minutes since midnight. Where `to` comes before `from`, it is on the day after. */
  readonly from: number
  readonly to: number
}

const DAYS = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat']
const DAY_MINUTES = 24 * 60
/** `mon-fri`, `@`, `18:00`, `08:00`: days, times, or both with `@` between. `24:00` is the end of a day. */
const WINDOW = /^([a-z]{3}(?:-[a-z]{3})?)?(@)?(?:([012]\d:[0-5]\d)-([012]\d:[0-5]\d))?$/

/** Undefined for what is not written so, and for a window without a length. */
export function parseHours(text: string): readonly Window[] | undefined {
  const windows = text.toLowerCase().split('+').map(windowOf)
  return windows.includes(undefined) ? undefined : (windows as Window[])
}

function windowOf(text: string): Window | undefined {
  const [, names, at, from, to] = WINDOW.exec(text) ?? []
  const both = names !== undefined && from !== undefined
  if ((names ?? from) === undefined || (at !== undefined) !== both) return undefined
  const days = names === undefined ? new Set(DAYS.keys()) : daysOf(names)
  const window = days && { days, from: minuteOf(from ?? '00:00'), to: minuteOf(to ?? '24:00') }
  return window === undefined || empty(window) ? undefined : window
}

/** Without a length, or past the end of a day. */
function empty({ from, to }: Window): boolean {
  return from === to || from >= DAY_MINUTES || to > DAY_MINUTES
}

/** `sat`, `mon-fri`; `sat-mon` goes over the end of the week. */
function daysOf(names: string): ReadonlySet<number> | undefined {
  const [first = '', last = first] = names.split('-')
  const [from, to] = [DAYS.indexOf(first), DAYS.indexOf(last)]
  if (from < 0 || to < 0) return undefined
  const count = ((to - from + 7) % 7) + 1
  return new Set(Array.from({ length: count }, (_, i) => (from + i) % 7))
}

function minuteOf(time: string): number {
  const [hour, minute] = time.split(':').map(Number)
  return hour! * 60 + minute!
}
