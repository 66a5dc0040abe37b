/** The fields of a JSON object, as places in its bytes: nothing is parsed but short names, and nothing is copied. */
import { strides, type Walk } from './walk.ts'

/** From the first byte to the one after the last. */
export interface Span {
  readonly start: number
  readonly end: number
}

/**
 * Crosses the object at which the walk stands and hands on where each field lies, until `take` answers false. True where
 * the object is one and ended; whether all in it is good JSON is for its reader to say.
 */
export async function fields(walk: Walk, take: (name: Span, value: Span) => boolean): Promise<boolean> {
  const blanks = (): boolean => walk.blanks()
  const cross = (): boolean => walk.cross()
  if (!blanks()) await strides(walk, blanks)
  if (!walk.sees(0x7b)) return false
  do {
    walk.at += 1
    if (!blanks()) await strides(walk, blanks)
    if (!walk.sees(0x22)) break
    const name = walk.at
    walk.enter()
    if (!cross()) await strides(walk, cross)
    const nameEnd = walk.at
    if (!blanks()) await strides(walk, blanks)
    if (!walk.sees(0x3a)) return false
    walk.at += 1
    if (!blanks()) await strides(walk, blanks)
    const start = walk.at
    walk.enter()
    if (!cross()) await strides(walk, cross)
    if (!take({ start: name, end: nameEnd }, { start, end: walk.at })) return false
    if (!blanks()) await strides(walk, blanks)
  } while (walk.sees(0x2c))
  return walk.sees(0x7d)
}

/** A field's name without its quotes and escapes; undefined where it is longer than `bytesMax`, or no text. */
export function nameIn(body: Buffer, { start, end }: Span, bytesMax: number): string | undefined {
  if (end - start - 2 > bytesMax) return undefined
  const text = body.toString('utf8', start, end)
  const name = text.includes('\\') ? parsed(text) : text.slice(1, -1)
  return typeof name === 'string' ? name : undefined
}

/** In the one case that Go compares the names of a struct's fields in: it takes a long s for an s, too. */
export function folded(name: string): string {
  const lower = name.toLowerCase()
  return lower.includes('ſ') ? lower.replaceAll('ſ', 's') : lower
}

/** Undefined for what is not JSON. */
export function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
