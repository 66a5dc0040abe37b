/** Lines of a screen as pieces of one colour each: as wide as they look, so that they can be cut and padded. */
import { plain, type Tint } from '../terminal.ts'

export interface Span {
  readonly text: string
  readonly tint?: Tint | 'reverse'
}

export type Line = readonly Span[]

export function span(text: string, tint?: Span['tint']): Span {
  return tint === undefined ? { text } : { text, tint }
}

/**
 * What other machines call things: nothing in it moves the cursor, and each letter is one column wide. Scripts that are
 * wider, or are written over the letter before, would shift all that follows.
 */
export function foreign(text: string, { unicode }: { readonly unicode: boolean }): string {
  return plain(text).replace(unicode ? NOT_NARROW : NOT_ASCII, '?')
}

const NOT_NARROW = /[^\x20-\x7e\u00a1-\u00ac\u00ae-\u02ff\u0370-\u0482\u048a-\u052f\u2026\u2581-\u2593]/gu
const NOT_ASCII = /[^\x20-\x7e]/gu

export function widthOf(line: Line): number {
  return line.reduce((sum, { text }) => sum + text.length, 0)
}

/** Exactly as wide as told. */
export function fit(text: string, width: number, more: string): string {
  if (text.length <= width) return text.padEnd(width)
  return width < 1 ? '' : text.slice(0, width - 1) + more
}

export function fitRight(text: string, width: number, more: string): string {
  return text.length <= width ? text.padStart(width) : fit(text, width, more)
}

/** No wider than told, and the last letter says where something is missing. */
export function cut(line: Line, width: number, more: string): Line {
  if (widthOf(line) <= width) return line
  const kept: Span[] = []
  let room = width
  for (const { text, tint } of line) {
    if (text.length < room) kept.push(span(text, tint))
    else {
      if (room > 0) kept.push(span(fit(`${text} `, room, more), tint))
      break
    }
    room -= text.length
  }
  return kept
}
