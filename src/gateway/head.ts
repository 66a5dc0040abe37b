/**
 * The head of a conversation, hashed: all up to and with the first message of its user, which every later question of
 * the same conversation begins with. Never written down; see scheduler/affinity.ts for what it is good for.
 */
import { createHash } from 'node:crypto'

/** Of a prompt without messages, so much counts; a conversation that is carried in it grows at the other end. */
const PROMPT_CHARS = 1_024
/** A head shorter than this is read again in no time, wherever it goes. */
const HEAD_CHARS_MIN = 64

/** 32 bits; undefined where there is nothing worth coming back for. */
export function headOf(messages: unknown, prompt: unknown, system: unknown): number | undefined {
  const head = Array.isArray(messages) ? opening(messages) : typeof prompt === 'string' ? prompt : ''
  const text =
    (typeof system === 'string' ? system : '') +
    head.slice(0, Array.isArray(messages) ? undefined : PROMPT_CHARS)
  if (text.length < HEAD_CHARS_MIN) return undefined
  return createHash('sha256').update(text).digest().readUInt32LE()
}

function opening(messages: readonly unknown[]): string {
  const first = messages.findIndex(message => (message as { role?: unknown } | null)?.role === 'user')
  return JSON.stringify(messages.slice(0, first + 1))
}
