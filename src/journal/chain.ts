/**
 * The chain: every fact carries a hash of itself and of all that came before. LevelDB checks no checksums when it
 * reads, so this is the only end-to-end one; it is checked by every read.
 *
 * A record is the very text that is stored. Three lines:
 *
 *   hash     SHA-256 in base64url of these three lines: the hash before this one, the header, the data's SHA-256
 *   header   {"seq":7,"at":1767225600000,"kind":"node","id":"shed","type":"node.drained","v":1,"by":"cli"}
 *   data     {}
 *
 * Once the data has been forgotten, its SHA-256 stands in its place, so that the chain still holds; and beside that whose
 * forgetting it was (machines/forgetting.ts) and what may stay. That the chain does not cover; the forgetting's own
 * facts do.
 *
 *   #OV1UgrEFSLkH9OWWnLAwnE1bYfMwbmyxkWMSpdvqQ3g 01M7YZH119Z62FQKEDVFCP11CT {"client":"forgotten","model":"tiny:latest"}
 *
 * Before the first fact stands the origin: the hash of the journal's id, so that two journals cannot be spliced.
 */
import { hash as digestOf } from 'node:crypto'
import type { Forgotten } from '../../machines/entity.ts'
import { upcast, versionOf } from '../../machines/upcasts.ts'
import { Failure } from '../failure.ts'
import { broken, type Damage, gap } from './damage.ts'
import type { Entry, Head, Staged } from './journal.ts'

/** Characters of a SHA-256 in base64url. */
const HASH = 43
const HEADER = HASH + 1

/** One call: 0.4 µs for 300 bytes, half of what createHash takes. */
const digest = (text: string): string => digestOf('sha256', text, 'base64url')

export function originOf(id: string): string {
  return digest(`quipu.journal.1\n${id}`)
}

/** The record of the fact that follows `head`, and the entry as a later read will give it. */
export function seal(
  head: Head,
  kind: string,
  id: string,
  { at, by, type, data }: Staged,
): { readonly record: string; readonly entry: Entry } {
  const entry: Record<string, unknown> = { seq: head.seq + 1, at, kind, id, type, v: versionOf(type) }
  if (by !== undefined) entry['by'] = by
  const line = `\n${JSON.stringify(entry)}\n`
  const text = JSON.stringify(data)
  const hash = digest(head.hash + line + digest(text))
  // Parsed back (0.5 µs): a NaN, a -0 or an object changed later would else be one thing until the next start and
  // another after it.
  entry['data'] = JSON.parse(text)
  entry['hash'] = hash
  return { record: hash + line + text, entry: entry as unknown as Entry }
}

/** The record's hash, when it is the one that follows `before`. Otherwise throws: `journal.gap`, `journal.broken`. */
export function verify(record: string, seq: number, before: string): string {
  const end = record.indexOf('\n', HEADER) + 1
  const data = record.slice(end)
  const hash = digest(before + record.slice(HASH, end) + digestIn(data))
  if (!record.startsWith(hash)) throw mismatch(record, seq)
  return hash
}

/** Of the data, or of what stood there before it was forgotten. */
function digestIn(data: string): string {
  return data.startsWith('#') ? data.slice(1, FORGOTTEN.test(data) ? HEADER : undefined) : digest(data)
}

const FORGOTTEN = /^#[\w-]{43} (\w{1,64}) (\{.*\})$/

/** The same record without its data, but for `residue`, which has the shape of that fact's data. The chain still holds. */
export function withoutData(record: string, forgetting: string, residue: object): string {
  const end = record.indexOf('\n', HEADER) + 1
  return `${record.slice(0, end)}#${digestIn(record.slice(end))} ${forgetting} ${JSON.stringify(residue)}`
}

/** The data of a record as it is stored: of the version that its header says. Undefined where it was forgotten. */
export function dataIn(record: string): object | undefined {
  const text = record.slice(record.indexOf('\n', HEADER) + 1)
  return text.startsWith('#') ? undefined : JSON.parse(text)
}

/** What a forgetting puts together over all that it left, in the order of the journal. Begins with ''. */
export function digestAfter(before: string, { residue }: Forgotten): string {
  return digest(`${before}\n${residue}`)
}

/** The entry in today's shape. Only for a record that has been verified. */
export function entryOf(record: string, hash: string): Entry {
  const end = record.indexOf('\n', HEADER)
  const entry = JSON.parse(record.slice(HEADER, end))
  const text = record.slice(end + 1)
  const today = versionOf(entry.type)
  if (!text.startsWith('#')) entry.data = JSON.parse(text)
  else {
    const [, by, residue] = FORGOTTEN.exec(text) ?? []
    entry.data = residue === undefined ? null : residueIn(residue, entry.seq)
    if (by !== undefined) entry.forgotten = { by, residue: digest(`${entry.seq}\n${text}`) }
  }
  entry.hash = hash
  if (entry.v !== today) {
    if (entry.v > today) throw newer(entry)
    if (entry.data !== null) entry.data = upcast(entry.type, entry.v, entry.data)
    entry.v = today
  }
  return entry
}

/** What a record says of its fact, beside the data. */
export type Header = Pick<Entry, 'seq' | 'at' | 'kind' | 'id' | 'type' | 'v'> & { readonly by?: string }

/** The header as it was written. Only for a record that has been verified. */
export function headerOf(record: string): Header {
  return JSON.parse(record.slice(HEADER, record.indexOf('\n', HEADER)))
}

/** No chain covers it, so that anything may stand there. */
function residueIn(text: string, seq: number): object {
  try {
    return JSON.parse(text)
  } catch {
    throw broken(seq)
  }
}

/** What the record says its hash is, verified or not. */
export function hashOf(record: string): string {
  return record.slice(0, HASH)
}

/** Are these two records of one fact, whatever was forgotten of it? */
export function sameFact(a: string, b: string): boolean {
  const [one, other] = [a, b].map(record => {
    const end = record.indexOf('\n', HEADER) + 1
    return record.slice(0, end) + digestIn(record.slice(end))
  })
  return one === other
}

/** What a record that is not the fact `seq` means: it is altered, or the fact is missing and this is a later one. */
export function mismatch(record: string, seq: number): Damage {
  const found = seqIn(record)
  return found > seq ? gap(seq, { found }) : broken(seq)
}

/** What the record says its number is; NaN where it says none. */
export function seqIn(record: string): number {
  return Number(/^[\w-]{43}\n\{"seq":(\d+),/.exec(record)?.[1])
}

function newer({ seq, type, v }: Entry): Failure {
  const known = versionOf(type)
  return new Failure(
    'journal.newer',
    `Fact ${seq} (${type}) was written as version ${v}, and this Quipu knows ${known}. Start the newer one that wrote it.`,
  )
}
