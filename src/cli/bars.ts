/** Bars, and the few signs that are no letters; for terminals that know no more than ASCII, too. */

export interface Bars {
  readonly full: string
  readonly empty: string
  /** A share as one letter, from nothing to all. */
  readonly steps: string
  readonly chosen: string
  readonly more: string
  readonly rule: string
  readonly degree: string
  /** May names have letters beyond ASCII? */
  readonly unicode: boolean
}

export const UNICODE: Bars = {
  full: '█',
  empty: '░',
  steps: '▁▂▃▄▅▆▇█',
  chosen: '▶',
  more: '…',
  rule: '─',
  degree: ' °C',
  unicode: true,
}

export const ASCII: Bars = {
  full: '#',
  empty: '.',
  steps: '_.:-=+*#',
  chosen: '>',
  more: '~',
  rule: '-',
  degree: ' C',
  unicode: false,
}

/** Those that a terminal can show. */
export function barsOf({ unicode }: { readonly unicode: boolean }): Bars {
  return unicode ? UNICODE : ASCII
}

/** What is above nothing shows at least a mark, what is below all leaves at least a gap. */
export function barOf(part: number, width: number, { full, empty }: Bars): string {
  const share = Math.min(Math.max(part, 0), 1)
  const rounded = Math.round(share * width)
  const marks = share === 0 ? 0 : share === 1 ? width : Math.min(Math.max(rounded, 1), width - 1)
  return full.repeat(marks) + empty.repeat(width - marks)
}
