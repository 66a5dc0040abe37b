/**
 * The terminal as `quipu top` leaves and finds it: which bytes show a frame where another one stands. Pure.
 *
 *    their screen ──open──▶ ours ──frame──▶ ours … ──close──▶ their screen, as it was
 */
import { inspect } from 'node:util'
import type { Line, Span } from './span.ts'

const ESC = '\u001b['

/** The alternate screen, without a cursor, and without wrapping: a letter too many stays in its line. */
export const OPEN = `${ESC}?1049h${ESC}?25l${ESC}?7l${ESC}2J`
export const CLOSE = `${ESC}0m${ESC}?7h${ESC}?25h${ESC}?1049l`

/** Clears first, so that nothing of another size stays. */
export const CLEAR = `${ESC}0m${ESC}2J`

export type Painted = readonly string[]

export function paint(lines: readonly Line[], colours: boolean): Painted {
  return lines.map(line =>
    line.map(({ text, tint }) => (colours && tint !== undefined ? coloured(text, tint) : text)).join(''),
  )
}

/** Only lines that are different, each at its place; all of it is one write, so that no half of a frame is ever seen. */
export function between(before: Painted, after: Painted): string {
  let bytes = ''
  for (let row = 0; row < Math.max(before.length, after.length); row += 1) {
    const text = after[row] ?? ''
    if (text !== before[row]) bytes += `${ESC}${row + 1};1H${text}${ESC}0m${ESC}K`
  }
  return bytes
}

function coloured(text: string, tint: NonNullable<Span['tint']>): string {
  const codes = tint === 'reverse' ? inspect.colors.inverse : inspect.colors[tint]
  const [on, off] = codes!
  return `${ESC}${on}m${text}${ESC}${off}m`
}
