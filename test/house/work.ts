/** What tests ask of a house that takes jobs: submit, look, follow; and a node whose answers are in the test's hands. */
import { createHash } from 'node:crypto'
import type { ServerResponse } from 'node:http'
import type { Test } from 'tap'
import { type OddHandler, odd } from '../gateway/odd.ts'
import type { World } from './world.ts'

export const NDJSON = { 'Content-Type': 'application/x-ndjson' }
export const line = (text: string): string => `{"response":"${text}","done":false}\n`
export const LAST = '{"done":true,"done_reason":"stop","prompt_eval_count":3,"eval_count":2}\n'
export const good: OddHandler = (_req, res) => void res.writeHead(200, NDJSON).end(line('good') + LAST)

export interface JobView {
  readonly id: string
  readonly state: string
  readonly [field: string]: unknown
}

export async function submit(
  w: World,
  job: object = {},
  headers: Record<string, string> = {},
): Promise<JobView> {
  const body = { path: '/api/generate', body: { model: 'tiny', prompt: 'x' }, ...job }
  const res = await w.post('/quipu/jobs', body, headers)
  if (res.status !== 202) throw new Error(`${res.status} ${await res.text()}`)
  return (await res.json()) as JobView
}

export const look = async (w: World, id: string): Promise<JobView> =>
  (await (await fetch(`${w.url}/quipu/jobs/${id}`)).json()) as JobView
export const result = (w: World, id: string): Promise<Response> => fetch(`${w.url}/quipu/jobs/${id}/result`)
export const cancel = (w: World, id: string): Promise<Response> =>
  fetch(`${w.url}/quipu/jobs/${id}`, { method: 'DELETE' })
export const sha256 = (bytes: string | Buffer): string => createHash('sha256').update(bytes).digest('hex')

/** Resolves when the job has ended, and that is on disk. */
export async function ended(w: World, id: string): Promise<JobView> {
  await until(follow(w, id), 'end')
  return look(w, id)
}

/** A node whose answers wait until the test lets them go on. */
export async function patientNode(t: Test) {
  const waiting: ServerResponse[] = []
  let wake: (() => void) | undefined
  const node = await odd(t, (_req, res) => {
    waiting.push(res)
    wake?.()
  })
  const next = async (): Promise<ServerResponse> => {
    while (waiting.length === 0) {
      const { promise, resolve } = Promise.withResolvers<void>()
      wake = resolve
      await promise
    }
    return waiting.shift()!
  }
  return { ...node, next }
}

export interface Told {
  readonly event: string
  readonly id?: string
  readonly text?: string
  readonly [field: string]: unknown
}

/** Lines of a stream as they come. */
export async function* follow(w: World, id: string, after?: string): AsyncGenerator<Told> {
  const headers = { Accept: 'application/x-ndjson', ...(after !== undefined && { 'Last-Event-ID': after }) }
  const res = await fetch(`${w.url}/quipu/jobs/${id}/stream`, { headers })
  if (res.status !== 200) throw new Error(`${res.status} ${await res.text()}`)
  let text = ''
  for await (const chunk of res.body!.pipeThrough(new TextDecoderStream())) {
    text += chunk
    const lines = text.split('\n')
    text = lines.pop()!
    for (const line of lines) yield JSON.parse(line) as Told
  }
}

export async function until(stream: AsyncGenerator<Told>, event: string): Promise<Told> {
  for (;;) {
    const { value, done } = await stream.next()
    if (done) throw new Error(`the stream ended before ${event}`)
    if (value.event === event) return value
  }
}
