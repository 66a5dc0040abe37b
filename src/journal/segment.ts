/**
 * An archive file: some of a journal's facts in a row, compressed, for as long as anybody wants to keep them.
 *
 *   000000000001-000000100000.quipu.gz
 *
 * It is gzip of one member after another, so that `zcat` prints it: a line of JSON that says what is in the file, then
 * the text of each fact as the journal has it, three lines each (see chain.ts). A member holds up to a thousand facts,
 * and the first line says where each begins, so that a page can be read without what is before it.
 */
import { createHash } from 'node:crypto'
import { type FileHandle, mkdir, open, readFile, rename, rm } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { createGunzip, gunzip, gzip } from 'node:zlib'
import { Failure } from '../failure.ts'
import { syncFolder } from '../replace.ts'
import { verify } from './chain.ts'
import { Damage } from './damage.ts'
import type { Head } from './journal.ts'

/** The first line of a file. */
export interface Heading {
  readonly quipu: 'archive'
  readonly format: 1
  /** The journal's id. */
  readonly journal: string
  readonly first: number
  readonly last: number
  readonly facts: number
  /** The chain's hash at the fact before the first, and at the last. */
  readonly before: string
  readonly hash: string
  /** Of the records as they are printed, and their SHA-256 in hex. */
  readonly bytes: number
  readonly sha256: string
  /** A signed checkpoint at or after the last fact, as its signed note, where there was one. */
  readonly checkpoint?: string
  /** First fact of each member, and how many bytes it is from where that begins to the end of the file. */
  readonly members: readonly (readonly [first: number, tailBytes: number])[]
}

export interface Draft {
  readonly dir: string
  readonly journal: string
  /** What the first record follows. */
  readonly before: Head
  /** Pages of up to a thousand records, at least one in all. */
  readonly records: AsyncIterable<readonly string[]>
  /** Asked once the last fact is known. */
  readonly checkpoint: (last: number) => string | undefined
}

export interface Sealed {
  readonly heading: Heading
  readonly file: string
  readonly bytes: number
}

const FORMAT = 1
/** More than any first line takes, compressed: 16 KB in 1,000 members. */
const HEADING_BYTES = 131_072
/** Lines of a record. */
const LINES = 3

const pack = promisify(gzip)
const unpack = promisify(gunzip)

/** Padded, so that a list of files is in order: `zcat *.quipu.gz` prints the whole journal. */
export function fileOf(first: number, last: number): string {
  return `${String(first).padStart(12, '0')}-${String(last).padStart(12, '0')}.quipu.gz`
}

/** Writes a file whole or not at all, and reads it back before it has its name. */
export async function writeSegment({ dir, journal, before, records, checkpoint }: Draft): Promise<Sealed> {
  const sum = createHash('sha256')
  const packed: { readonly first: number; readonly bytes: Buffer }[] = []
  let head = before
  let bytes = 0
  for await (const page of records) {
    const first = head.seq + 1
    for (const record of page) head = { seq: head.seq + 1, hash: verify(record, head.seq + 1, head.hash) }
    const text = Buffer.from(`${page.join('\n')}\n`)
    sum.update(text)
    bytes += text.length
    packed.push({ first, bytes: await pack(text) })
  }
  const members: [number, number][] = []
  for (const member of packed.toReversed())
    members.unshift([member.first, (members[0]?.[1] ?? 0) + member.bytes.length])
  const note = checkpoint(head.seq)
  const heading: Heading = {
    quipu: 'archive',
    format: FORMAT,
    journal,
    first: before.seq + 1,
    last: head.seq,
    facts: head.seq - before.seq,
    before: before.hash,
    hash: head.hash,
    bytes,
    sha256: sum.digest('hex'),
    ...(note !== undefined && { checkpoint: note }),
    members,
  }
  const parts = [await pack(`${JSON.stringify(heading)}\n`), ...packed.map(member => member.bytes)]
  const file = fileOf(heading.first, heading.last)
  const draft = join(dir, `${file}.new`)
  try {
    await writeWhole(draft, parts)
    await checkSegment(draft, journal, heading)
    await rename(draft, join(dir, file))
    await syncFolder(dir)
  } catch (error) {
    await rm(draft, { force: true })
    throw error
  }
  return { heading, file, bytes: parts.reduce((all, { length }) => all + length, 0) }
}

async function writeWhole(path: string, parts: readonly Buffer[]): Promise<void> {
  const file = await open(path, 'w')
  try {
    for (const part of parts) await file.writeFile(part)
    await file.sync()
  } finally {
    await file.close()
  }
}

/**
 * Copies a file whole or not at all, and reads the copy back; one that is there and is what it should be stays. Throws a
 * Failure `archive.missing`, `archive.damaged`, or `archive.unwritable`.
 */
export async function copySegment(
  from: string,
  to: string,
  journal: string,
  file: Pick<Heading, 'sha256' | 'first' | 'last' | 'hash'>,
): Promise<void> {
  const name = fileOf(file.first, file.last)
  const [path, draft] = [join(to, name), join(to, `${name}.new`)]
  if (await checkSegment(path, journal, file).catch(() => undefined)) return
  await checkSegment(join(from, name), journal, file)
  try {
    await mkdir(to, { recursive: true })
    await writeWhole(draft, [await readFile(join(from, name))])
    await checkSegment(draft, journal, file)
    await rename(draft, path)
    await syncFolder(to)
  } catch (error) {
    await rm(draft, { force: true })
    if (error instanceof Failure) throw error
    throw new Failure('archive.unwritable', `${path} cannot be written: ${(error as Error).message}`, {
      cause: error,
    })
  }
}

/** Reads a file through: every member, the chain, the digest. Throws a Failure `archive.damaged` that names it. */
export async function checkSegment(
  path: string,
  journal: string,
  { sha256, first, last, hash }: Pick<Heading, 'sha256' | 'first' | 'last' | 'hash'>,
): Promise<Heading> {
  const segment = await openSegment(path, journal)
  try {
    const { heading } = segment
    if (heading.first !== first || heading.last !== last) throw damaged(path, first, 'it holds other facts')
    const sum = createHash('sha256')
    let head: Head = { seq: first - 1, hash: heading.before }
    for (const [index, [from]] of heading.members.entries()) {
      if (from !== head.seq + 1) throw damaged(path, from, 'its members do not follow one another')
      const records = await segment.records(index)
      for (const record of records) head = next(path, head, record)
      sum.update(`${records.join('\n')}\n`)
    }
    if (head.seq !== last || head.hash !== hash) throw damaged(path, head.seq, 'it ends elsewhere')
    if (sum.digest('hex') !== sha256) throw damaged(path, first, 'its digest is another')
    return heading
  } finally {
    await segment.close()
  }
}

function next(path: string, { seq, hash }: Head, record: string): Head {
  try {
    return { seq: seq + 1, hash: verify(record, seq + 1, hash) }
  } catch {
    throw damaged(path, seq + 1, 'it is not what was written')
  }
}

/** What is known of a file as long as it is this file. */
export interface Known {
  readonly heading: Heading
  readonly mtimeMs: number
  readonly size: number
}

export interface Segment extends Known {
  /** The records of the member at this place in `heading.members`. */
  records(index: number): Promise<readonly string[]>
  close(): Promise<void>
}

/** Throws a Failure `archive.missing`, `archive.damaged` or `archive.unreadable`. */
export async function openSegment(path: string, journal: string, known?: Known): Promise<Segment> {
  const handle = await open(path, 'r').catch(error => {
    throw (error as NodeJS.ErrnoException).code === 'ENOENT' ? missing(path) : unreadable(path, error)
  })
  try {
    const { size, mtimeMs } = await handle.stat()
    const heading =
      known?.size === size && known.mtimeMs === mtimeMs
        ? known.heading
        : await headingIn(path, journal, await bytesOf(handle, 0, Math.min(size, HEADING_BYTES)))
    const { members, last } = heading
    return {
      heading,
      size,
      mtimeMs,
      async records(index) {
        const [from, tail] = members[index]!
        const until = (members[index + 1]?.[0] ?? last + 1) - 1
        const end = members[index + 1]?.[1] ?? 0
        try {
          const text = await unpack(await bytesOf(handle, size - tail, tail - end))
          const records = recordsIn(String(text))
          if (records.length === until - from + 1) return records
        } catch (error) {
          throw damaged(path, from, (error as Error).message)
        }
        throw damaged(path, from, `it holds other facts than ${from} to ${until} there`)
      },
      close: () => handle.close(),
    }
  } catch (error) {
    await handle.close()
    throw error instanceof Failure ? error : unreadable(path, error)
  }
}

async function bytesOf(handle: FileHandle, at: number, count: number): Promise<Buffer> {
  const bytes = Buffer.alloc(count)
  const { bytesRead } = await handle.read(bytes, 0, count, at)
  if (at < 0 || bytesRead < count) throw new Error('it ends too early')
  return bytes
}

async function headingIn(path: string, journal: string, bytes: Buffer): Promise<Heading> {
  let heading: Partial<Heading>
  try {
    heading = JSON.parse(await firstLine(bytes))
  } catch (error) {
    throw damaged(path, undefined, (error as Error).message)
  }
  if (heading.quipu !== 'archive') throw damaged(path, undefined, 'it is no archive')
  if (heading.format !== FORMAT) {
    const said = `${path} has format ${heading.format}, and this Quipu knows ${FORMAT}. Read it with the newer one that wrote it.`
    throw new Failure('journal.newer', said)
  }
  if (heading.journal !== journal)
    throw damaged(path, heading.first, `it is of the journal ${heading.journal}, and not of ${journal}`)
  return heading as Heading
}

/** What follows it is cut off somewhere, and may be damaged: nobody asks for it here. */
function firstLine(bytes: Buffer): Promise<string> {
  return new Promise((resolve, reject) => {
    const stream = createGunzip()
    const chunks: Buffer[] = []
    stream.on('data', (chunk: Buffer) => {
      chunks.push(chunk)
      if (!chunk.includes('\n')) return
      resolve(String(Buffer.concat(chunks)).split('\n', 1)[0]!)
      stream.destroy()
    })
    stream.on('error', reject)
    stream.on('end', () => reject(new Error('it has no first line')))
    stream.end(bytes)
  })
}

function recordsIn(text: string): readonly string[] {
  const lines = text.split('\n')
  const records: string[] = []
  for (let at = 0; at + LINES < lines.length; at += LINES)
    records.push(`${lines[at]}\n${lines[at + 1]}\n${lines[at + 2]}`)
  return records
}

export function missing(path: string, first?: number, last?: number): Failure {
  const what =
    first === undefined ? 'An archive file' : `Facts ${first} to ${last} are in an archive file that`
  const said = `${what} is not there: ${path}. Bring ${basename(path)} back to ${dirname(path)}, or name the folder that has it with --archive-dir.`
  return new Failure('archive.missing', said)
}

/** `seq`: where in it, as far as is known. */
export function damaged(path: string, seq: number | undefined, why: string): Damage {
  const where = seq === undefined ? '' : `Fact ${seq} cannot be read: `
  const said = `${where}${path} is damaged (${why.replace(/\.$/, '')}). Bring ${basename(path)} back from a copy.`
  return new Damage('archive.damaged', said, seq === undefined ? {} : { seq })
}

function unreadable(path: string, cause: unknown): Failure {
  const said = `${path} cannot be read: ${(cause as Error).message}`
  return new Failure('archive.unreadable', said, { retryable: true, cause })
}
