/**
 * The processes of the benchmarks, told apart by their first argument: `nodes` (three simulated nodes), `embedder` (a
 * node that only embeds), `house` (a whole house with its journal on disk), `load` (closed-loop clients), `streams`
 * (paced streams). Each answers over the IPC channel and stays until it is told to stop.
 */
import { once } from 'node:events'
import { createServer } from 'node:http'
import { type AddressInfo, connect, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { systemClock } from '../../src/clock.ts'
import { type Flags, readConfig } from '../../src/config.ts'
import { openHouse } from '../../src/main.ts'
import { startSims } from '../../src/sim/sim.ts'
import { history } from './history.ts'

export interface LoadOrder {
  readonly url: string
  readonly connections: number
  readonly ms: number
  readonly path: string
  /** Eight `#` become a number, another one in each request. */
  readonly body: string
}

/** What embedding costs a node: for each call, and for each text in it, one after another. */
export interface EmbedderOrder {
  readonly callMs: number
  readonly textMs: number
}

export interface LoadResult {
  readonly perSecond: number
  readonly errors: number
  /** Milliseconds, of each answer: to its first body byte (streams), to its end (load). */
  readonly times: readonly number[]
}

export interface StartResult {
  readonly facts: number
  /** The fact after which a snapshot was taken up; 0 for none. */
  readonly snapshotSeq: number
  readonly replayMs: number
  /** From the first line of the house to its listening. */
  readonly readyMs: number
  readonly rssBytes: number
}

export interface StartOrder {
  readonly dir: string
  readonly flags?: Flags
  readonly stop: boolean
}

export interface HouseOrder {
  readonly dir: string
  readonly urls: readonly string[]
  readonly slots?: number
  readonly flags?: Flags
}

const roles: Readonly<Record<string, (argument: string) => Promise<unknown>>> = {
  async nodes(argument) {
    const sims = await startSims({
      nodes: 3,
      slots: 256,
      resident: 2,
      loadMs: 0,
      prefillTps: 1e9,
      ...JSON.parse(argument),
    })
    return sims.map(({ url }) => url)
  },

  async embedder(argument) {
    const { callMs, textMs } = JSON.parse(argument) as EmbedderOrder
    const models = [{ name: 'embed:latest', digest: 'd', size: 1, capabilities: ['embedding'] }]
    const vector = Array.from({ length: 768 }, (_, i) => Math.fround(Math.sin(i)))
    const looks: Record<string, object> = {
      '/api/version': { version: '0.33.0' },
      '/api/tags': { models },
      '/api/ps': { models },
    }
    let turn = Promise.resolve()
    const server = createServer(async (req, res) => {
      let text = ''
      for await (const chunk of req) text += chunk
      if (looks[req.url!] !== undefined) return void res.end(JSON.stringify(looks[req.url!]))
      const texts = [JSON.parse(text).input].flat()
      turn = turn.then(() => sleep(callMs + textMs * texts.length))
      await turn
      const embeddings = texts.map(() => vector)
      const figures = { total_duration: 1, load_duration: 1, prompt_eval_count: texts.length }
      res.end(JSON.stringify({ model: 'embed', embeddings, ...figures }))
    }).listen(0, '127.0.0.1')
    await once(server, 'listening')
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  },

  async house(argument) {
    const { dir, urls, slots = 256, flags } = JSON.parse(argument) as HouseOrder
    const node = urls.map((url, i) => `${url},name=n${i + 1},slots=${slots},resident=2`)
    const config = readConfig({ data: dir, port: '0', node, 'probe-every': '60s', ...flags }, {})
    const house = await openHouse({ config, version: 'bench', clock: systemClock })
    process.on('message', () =>
      process.send!({ rssBytes: process.memoryUsage.rss(), cpuMicros: cpu(), facts: house.journal.durable }),
    )
    return house.url
  },

  history: argument => history(JSON.parse(argument)),

  /** A house that is started and looked at; then killed, or stopped in peace. */
  async start(argument) {
    const { dir, flags, stop } = JSON.parse(argument) as StartOrder
    const config = readConfig({ data: dir, port: '0', embedded: 'off', log: 'error', ...flags }, {})
    const began = performance.now()
    const house = await openHouse({ config, version: 'bench', clock: systemClock })
    const { facts, snapshotSeq, replayMs } = house
    const readyMs = performance.now() - began
    const rssBytes = process.memoryUsage.rss()
    if (stop) await house.close()
    return { facts, snapshotSeq, replayMs, readyMs, rssBytes } satisfies StartResult
  },

  load: argument => drive(JSON.parse(argument), 'end'),
  streams: argument => drive(JSON.parse(argument), 'first'),
}

/** Keep-alive connections, each sending its next request when the last one is answered. */
async function drive(
  { url, connections, ms, path, body }: LoadOrder,
  mark: 'first' | 'end',
): Promise<LoadResult> {
  const { hostname, port } = new URL(url)
  const head = `POST ${path} HTTP/1.1\r\nHost: ${hostname}:${port}\r\nContent-Type: application/json\r\n`
  const request = Buffer.from(`${head}Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`)
  const place = request.indexOf('########')
  let sent = 0
  const next = (): Buffer => {
    if (place < 0) return request
    sent += 1
    const own = Buffer.from(request)
    own.write(String(sent).padStart(8, '0'), place)
    return own
  }
  const times: number[] = []
  let errors = 0
  const until = performance.now() + ms
  const one = (socket: Socket): Promise<void> =>
    new Promise((resolve, reject) => {
      const began = performance.now()
      let text = ''
      let first = 0
      const over = (settle: () => void): void => {
        socket.removeAllListeners('data')
        socket.removeAllListeners('close')
        settle()
      }
      socket.on('close', () => over(() => reject(new Error('closed'))))
      socket.on('data', chunk => {
        text += chunk.toString('latin1')
        const cut = text.indexOf('\r\n\r\n')
        if (cut < 0) return
        if (first === 0 && text.length > cut + 4) first = performance.now() - began
        const length = /content-length: (\d+)/i.exec(text.slice(0, cut))
        const whole =
          length === null ? text.endsWith('\r\n0\r\n\r\n') : text.length >= cut + 4 + Number(length[1])
        if (!whole) return
        if (!text.startsWith('HTTP/1.1 200')) errors += 1
        times.push(mark === 'first' ? first : performance.now() - began)
        over(resolve)
      })
      socket.write(next())
    })
  const began = performance.now()
  await Promise.all(
    Array.from({ length: connections }, async (_, i) => {
      const socket = connect(Number(port), hostname).setNoDelay(true)
      socket.on('error', () => {})
      await new Promise(resolve => setTimeout(resolve, mark === 'first' ? i * 11 : 0)) // streams do not start as one
      try {
        while (performance.now() < until) await one(socket)
      } catch {
        errors += 1
      }
      socket.destroy()
    }),
  )
  return { perSecond: (times.length / (performance.now() - began)) * 1_000, errors, times }
}

if (process.send !== undefined) {
  const [role = '', argument = '{}'] = process.argv.slice(2)
  process.send(await roles[role]!(argument))
  process.on('disconnect', () => process.exit())
}

/** Processor time of this process so far, all threads. */
function cpu(): number {
  const { user, system } = process.cpuUsage()
  return user + system
}
