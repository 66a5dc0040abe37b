/** A house that is only a list of answers, and remembers what it was asked. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { buffer } from 'node:stream/consumers'
import type { Test } from 'tap'
import type { Env } from './terminal.ts'

export interface Asked {
  readonly method: string
  readonly url: string
  readonly headers: IncomingMessage['headers']
  readonly body: string
}

type Answer = unknown | ((asked: Asked, res: ServerResponse) => void)

export interface FakeHouse {
  readonly url: string
  readonly port: number
  readonly asked: readonly Asked[]
  /** So that the verbs find it. */
  readonly env: Env
}

/** By `GET /path`, without the query. What is not there is answered as Ollama would. */
export async function fakeHouse(t: Test, answers: Readonly<Record<string, Answer>>): Promise<FakeHouse> {
  const asked: Asked[] = []
  const server = createServer(async (req, res) => {
    const { method = '', url = '', headers } = req
    const question = { method, url, headers, body: (await buffer(req)).toString() }
    asked.push(question)
    const answer = answers[`${method} ${url.split('?', 1)[0]}`]
    if (typeof answer === 'function') return answer(question, res)
    if (answer !== undefined) return json(res, 200, answer)
    res.writeHead(404, { 'Content-Type': 'text/plain' }).end('404 page not found')
  })
  await new Promise<void>(resolve => {
    server.listen(0, '127.0.0.1', resolve)
  })
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  const { port } = server.address() as AddressInfo
  return { url: `http://127.0.0.1:${port}`, port, asked, env: { QUIPU_PORT: String(port) } }
}

export function json(res: ServerResponse, status: number, value: unknown): void {
  res.writeHead(status, { 'Content-Type': 'application/json; charset=utf-8' }).end(JSON.stringify(value))
}
