/** Facts as people read them: one line each. */
import type { Json } from '../../machines/entity.ts'
import type { Entry } from '../journal/journal.ts'
import { timeOf } from './quantities.ts'
import { plain } from './terminal.ts'

/** Time, seq, type, whose, what, who asked. */
export function factLine(fact: Entry): string {
  const { at, seq, type, id, by } = fact
  const asked = by === undefined ? [] : [`by=${by}`]
  return plain(
    [timeOf(at), String(seq).padStart(7), type.padEnd(TYPE), id, ...dataWords(fact), ...asked].join('  '),
  )
}

/** `node=shed attempt=2 candidates=3`: lists by their length. */
export function dataWords({ data }: Entry): string[] {
  if (data === null) return ['(forgotten)']
  const pairs = Object.entries(data as Record<string, Json>).map(([key, value]) => `${key}=${word(value)}`)
  return pairs.length === 0 ? [] : [pairs.join(' ')]
}

/** The longest there is: `request.completed`. */
const TYPE = 17
/** Of a digest, as much as Ollama shows. */
const DIGEST = /^(?:sha256:)?([0-9a-f]{12})[0-9a-f]{52}$/

function word(value: Json): string {
  if (Array.isArray(value)) {
    return value.every(item => typeof item === 'string') ? value.join(',') : String(value.length)
  }
  if (typeof value === 'string')
    return DIGEST.exec(value)?.[1] ?? (/^[^\s="]+$/.test(value) ? value : JSON.stringify(value))
  return JSON.stringify(value)
}
