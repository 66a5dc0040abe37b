/**
 * The processes of the agent's benchmark, told apart by their first argument: `origin`, which takes and gives bytes as fast
 * as they go, and tokens at a pace; `http`, a plain relay of HTTP; `agent`, an agent beside the origin. Each says where it is,
 * and then, whenever it is asked, how much processor it has had.
 */
import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { openAgent } from '../../src/agent/agent.ts'
import { inPlainText } from '../../src/agent/introductions.ts'
import type { Call } from '../../src/call.ts'
import { systemClock } from '../../src/clock.ts'
import { statuses } from '../../src/gateway/refusals.ts'
import { Ollama } from '../../src/ollama/ollama.ts'

export interface AgentChildOrder {
  readonly origin: string
  /** HOST:PORT of the house, for `agent`. */
  readonly house: string
  /** How many agents, for `agent`. */
  readonly count?: number
}

const CHUNK = Buffer.alloc(65_536, 'x')
const LOOKS: Readonly<Record<string, object>> = {
  '/api/version': { version: '0.33.0' },
  '/api/tags': { models: [] },
  '/api/ps': { models: [] },
}

const roles: Readonly<Record<string, (order: AgentChildOrder) => Promise<string>>> = {
  origin: async () =>
    await listening(async (req, res) => {
      const { pathname, searchParams } = new URL(req.url!, 'http://origin')
      const asked = (name: string): number => Number(searchParams.get(name))
      if (LOOKS[pathname] !== undefined) return void res.end(JSON.stringify(LOOKS[pathname]))
      if (pathname === '/api/down') {
        for (let left = asked('bytes'); left > 0 && !res.destroyed; left -= CHUNK.length)
          if (!res.write(CHUNK)) await once(res, 'drain')
        return void res.end()
      }
      for await (const _ of req);
      if (pathname === '/api/up') return void res.writeHead(201).end()
      for (let token = 0; token < asked('tokens'); token += 1) {
        if (token > 0) await sleep(asked('everyMs'))
        // When it was written, by the clock that all processes of the machine share.
        res.write(
          `{"model":"tiny","at":${process.hrtime.bigint()},"response":" token","done":false,"pad":"${PAD}"}\n`,
        )
      }
      res.end()
    }),

  async http({ origin }) {
    const ollama = new Ollama(origin, { linkLocal: true })
    return await listening((req, res) => {
      const { host: _, connection: __, 'transfer-encoding': ___, ...headers } = req.headers
      const body = req.method === 'GET' ? null : req
      let call: Call | undefined
      res.on('drain', () => call?.resume())
      res.on('close', () => call?.abort())
      call = ollama.send(
        { method: req.method!, path: req.url!, headers: headers as Record<string, string>, body },
        {
          start: (status, raw) => void res.writeHead(status, [...raw]),
          data: chunk => void (res.write(chunk) || call?.pause()),
          end: () => void res.end(),
          fail: () => void res.destroy(),
        },
      )
    })
  },

  async agent({ origin, house, count = 1 }) {
    const up = Array.from({ length: count }, () => Promise.withResolvers<void>())
    for (const [i, { resolve }] of up.entries()) {
      await openAgent({
        clock: systemClock,
        version: 'bench',
        name: `n${i + 1}`,
        ollama: origin,
        house,
        labels: {},
        introductions: inPlainText,
        statuses,
        heard: there => there && resolve(),
        onBug: error => {
          throw error
        },
      })
    }
    await Promise.all(up.map(({ promise }) => promise))
    return house
  },
}

/** So that a line is as long as those of Ollama. */
const PAD = 'x'.repeat(40)

async function listening(answer: (req: IncomingMessage, res: ServerResponse) => unknown): Promise<string> {
  const server: Server = createServer(answer).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

if (process.send !== undefined) {
  const [role = '', order = '{}'] = process.argv.slice(2)
  process.on('message', () => {
    const { user, system } = process.cpuUsage()
    process.send!({ cpuMicros: user + system, rssBytes: process.memoryUsage.rss() })
  })
  process.on('disconnect', () => process.exit())
  process.send(await roles[role]!(JSON.parse(order)))
}
