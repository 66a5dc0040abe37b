/**
 * One snapshot on disk:
 *
 *   quipu.snapshot.1 <SHA-256 of all that follows, hexadecimal>⏎
 *   {"fingerprint":"…","journal":"01J…","seq":200000,"hash":"…","latestAt":1767225600000}⏎
 *   views and streams in one go, as V8 serialises them: what they share they still share when it is read
 *
 * It appears whole or not at all: written beside, synced, renamed, and the folder synced.
 */
import { hash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { deserialize } from 'node:v8'
import type { Position, Streams } from '../engine/engine.ts'
import type { States } from '../projections/views.ts'
import { replaceFile } from '../replace.ts'

/** What a snapshot is of. */
export interface Label extends Position {
  readonly fingerprint: string
  /** The journal's id. */
  readonly journal: string
}

export interface Content {
  readonly views: States
  readonly streams: Streams
}

/** For the house's own user alone: it holds the names of clients. */
const FILE_MODE = 0o600

/** `body` is a Content that V8 has serialised. Rejects with what the system says; nothing of it is left then. */
export async function writeSnapshot(path: string, label: Label, body: Uint8Array): Promise<void> {
  const head = Buffer.from(`${JSON.stringify(label)}\n`)
  const text = Buffer.concat([head, body])
  // In another thread: a megabyte takes a millisecond.
  const digest = Buffer.from(await crypto.subtle.digest('SHA-256', text)).toString('hex')
  await replaceFile(path, [sealOf(digest), text], FILE_MODE)
}

/** Throws an Error that says why it cannot be read. */
export async function readSnapshot(path: string): Promise<{ readonly label: Label; content(): Content }> {
  const bytes = await readFile(path)
  const text = bytes.subarray(SEAL_BYTES)
  if (bytes.toString('latin1', 0, SEAL_BYTES) !== sealOf(hash('sha256', text, 'hex'))) {
    throw new Error('it is damaged, or of another format')
  }
  const end = text.indexOf('\n')
  return {
    label: JSON.parse(text.toString('utf8', 0, end)) as Label,
    content: () => deserialize(text.subarray(end + 1)) as Content,
  }
}

/** The first line. */
function sealOf(digest: string): string {
  return `quipu.snapshot.1 ${digest}\n`
}

const SEAL_BYTES = sealOf('').length + 64
