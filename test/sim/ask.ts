/** Asks a simulated node over a real connection and hands back everything that came, headers as written. */
import { request } from 'node:http'
import { type Sim, type SimOptions, startSim } from '../../src/sim/sim.ts'

export class Reply {
  readonly status: number
  readonly headers: Record<string, string | string[] | undefined>
  readonly text: string

  constructor(status: number, headers: Reply['headers'], text: string) {
    this.status = status
    this.headers = headers
    this.text = text
  }

  get json(): any {
    return JSON.parse(this.text)
  }

  /** A stream's lines or events, as parsed objects. */
  get lines(): any[] {
    return this.text
      .split('\n')
      .map(line => line.replace(/^data: /, ''))
      .filter(line => line.startsWith('{'))
      .map(line => JSON.parse(line))
  }
}

export interface Question {
  readonly method?: string
  readonly body?: unknown
  readonly headers?: Record<string, string>
  readonly signal?: AbortSignal
}

export function ask(sim: Sim, path: string, question: Question = {}): Promise<Reply> {
  const { body, headers = {}, signal } = question
  const method = question.method ?? (body === undefined ? 'GET' : 'POST')
  return new Promise((resolve, reject) => {
    const options = {
      host: '127.0.0.1',
      port: sim.port,
      path,
      method,
      headers,
      agent: false as const,
      signal,
    }
    const sent = request(options as any, response => {
      let text = ''
      response.setEncoding('utf8')
      response.on('data', part => {
        text += part
      })
      response.on('error', reject)
      response.on('end', () => {
        const { connection: _, date: __, ...rest } = response.headers
        resolve(new Reply(response.statusCode!, rest, text))
      })
    })
    sent.on('error', reject)
    if (body === undefined) return sent.end()
    const bytes = Buffer.isBuffer(body)
      ? body
      : Buffer.from(typeof body === 'string' ? body : JSON.stringify(body))
    // Node frames no body of a DELETE by itself.
    if (!sent.hasHeader('transfer-encoding')) sent.setHeader('content-length', bytes.length)
    sent.end(bytes)
  })
}

export const INSTANTLY = {
  loadMs: 0,
  prefillTps: Number.POSITIVE_INFINITY,
  decodeTps: Number.POSITIVE_INFINITY,
} satisfies Partial<SimOptions>

/** A node without waits, closed when the test ends. */
export async function quickSim(
  t: { teardown: (run: () => Promise<void>) => void },
  options: Partial<SimOptions> = {},
) {
  const sim = await startSim({ ...INSTANTLY, ...options })
  t.teardown(() => sim.close())
  return sim
}
