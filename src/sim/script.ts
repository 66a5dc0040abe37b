/** What an answer will be, decided before its first word and the same on every node. */
import type { ToolCall } from './dialect.ts'
import type { Tool } from './requests.ts'
import type { StoredModel } from './store.ts'
import type { Tuning } from './tuning.ts'
import { example, hash, speak } from './words.ts'

/** A simulated thinker thinks for this part of its tokens. */
const THINKING_PART = 0.25

export interface Script {
  readonly model: StoredModel
  readonly tuning: Tuning
  /** The prompt as the model sees it. */
  readonly text: string
  readonly format: unknown
  readonly thinking: boolean
  /** To be called instead of speaking. */
  readonly tool: Tool | undefined
}

export interface Piece {
  readonly content: string
  readonly thinking?: string
  readonly toolCalls?: readonly ToolCall[]
}

/** `words` is how long an answer is that nothing cuts short. */
export function script(
  job: Script,
  root: number,
  words: number,
): { pieces: Piece[]; tokens: string[]; reason: 'stop' | 'length' } {
  const { numPredict, stop } = job.tuning
  const pieces: Piece[] = []
  if (job.thinking)
    for (const token of speak(hash(`thinking ${root}`), Math.ceil(words * THINKING_PART)))
      pieces.push({ content: '', thinking: token })
  if (job.tool !== undefined) pieces.push({ content: '', toolCalls: [callOf(job.tool, root)] })
  else for (const token of cutAt(stop, wordsOf(job, root, words))) pieces.push({ content: token })
  const reason = numPredict >= 0 && numPredict <= pieces.length ? 'length' : 'stop'
  if (reason === 'length') pieces.length = numPredict
  return { pieces, tokens: pieces.map(piece => piece.thinking ?? piece.content), reason }
}

function wordsOf(job: Script, root: number, words: number): string[] {
  if (job.format === undefined || job.format === '') return speak(root, words)
  const value = job.format === 'json' ? { answer: speak(root, 1)[0]!.trim() } : example(job.format, root)
  // JSON is spoken in smaller bites than words.
  return JSON.stringify(value).match(/.{1,4}/gsu) ?? []
}

function cutAt(stops: readonly string[], tokens: string[]): string[] {
  if (stops.length === 0) return tokens
  const text = tokens.join('')
  const ends = stops.map(stop => (stop === '' ? -1 : text.indexOf(stop))).filter(end => end >= 0)
  if (ends.length === 0) return tokens
  let left = Math.min(...ends)
  const kept: string[] = []
  for (const token of tokens) {
    if (left <= 0) break
    kept.push(token.slice(0, left))
    left -= token.length
  }
  return kept
}

function callOf(tool: Tool, root: number): ToolCall {
  const { name = '', parameters } = tool.function ?? {}
  const letters = (root.toString(36) + hash(name).toString(36)).padEnd(8, '0').slice(0, 8)
  const args = example({ type: 'object', ...parameters }, root) as Record<string, unknown>
  return { id: `call_${letters}`, function: { index: 0, name, arguments: args } }
}
