/**
 * What of a job lies in the spool: `body`, what to ask the node; `callback`; `answer-N`, what attempt N brought. And what the jobs
 * need of a spool; see spool/spool.ts.
 */
import type { Json } from '../../../machines/entity.ts'
import { Failure } from '../../failure.ts'

export interface Kept {
  readonly bytes: number
  /** SHA-256, hexadecimal. */
  readonly digest: string
}

export interface Writing {
  write(chunk: Uint8Array): Promise<void>
  end(): Promise<Kept>
  drop(): Promise<void>
}

/** That nothing of an item is left; see spool/proof.ts. */
export interface Proof {
  readonly id: string
  readonly parts: readonly string[]
  readonly bytes: number
  readonly slot: 'zero' | 'another' | 'key'
  readonly files: readonly string[]
  readonly readable: readonly string[]
  readonly keyFoundIn: readonly string[]
  readonly proved: boolean
}

export interface SpoolLike {
  put(id: string, part: string, head: Json, bytes: Uint8Array): Promise<Kept>
  open(id: string, part: string, head: Json): Promise<Writing>
  read(id: string, part: string): Promise<{ readonly head: Json; readonly bytes: Buffer } | undefined>
  head(id: string, part: string): Promise<Json | undefined>
  follow(id: string, part: string, from: number, signal: AbortSignal): AsyncIterable<Buffer>
  parts(id: string): readonly { readonly part: string; readonly bytes: number; readonly ended: boolean }[]
  items(): readonly { readonly id: string; readonly parts: readonly { readonly part: string }[] }[]
  drop(id: string, part: string): Promise<void>
  erase(ids: Iterable<string>): Promise<readonly { readonly id: string; readonly bytes: number }[]>
  eraseAndProve(ids: Iterable<string>, dataDir: string): Promise<readonly Proof[]>
  readonly usage: { readonly items: number; readonly bytes: number }
}

export const BODY = 'body'
/** Who wants to be called when it is over, in the head. */
export const CALLBACK = 'callback'

/** Where to call when the job is over, and what to sign the call with. */
export type Callback = { readonly url: string; readonly secret?: string }

export function answerPart(attempt: number): string {
  return `answer-${attempt}`
}

/** What to ask the node, but for the bytes. */
export type BodyHead = {
  /** Path and query. */
  readonly target: string
  readonly headers: Readonly<Record<string, string>>
  /** As the client wrote it. */
  readonly keepAlive?: Json
}

/** What came back, but for the bytes. */
export type AnswerHead = {
  readonly status: number
  /** Name, value, name, value … */
  readonly headers: readonly string[]
  /** Or the worker who brought it. */
  readonly node: string
}

export function bodyHead(head: Json): BodyHead {
  return head as BodyHead
}

/** What an attempt has brought so far; undefined where nothing, or where that is gone. */
export async function headOf(
  spool: Pick<SpoolLike, 'head'>,
  id: string,
  attempt: number,
): Promise<AnswerHead | undefined> {
  try {
    return (await spool.head(id, answerPart(attempt))) as AnswerHead | undefined
  } catch (error) {
    if (error instanceof Failure && error.code === 'spool.gone') return undefined
    throw error
  }
}

export function isAnswer(part: string): boolean {
  return part.startsWith('answer-')
}
