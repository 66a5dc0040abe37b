/** An agent and the house's side of the line to it, both ways of dialling, with nothing of a house behind it but its nodes. */
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import type { Test } from 'tap'
import type { Agent, AgentOptions } from '../../src/agent/agent.ts'
import type { Receiver } from '../../src/call.ts'
import { systemClock } from '../../src/clock.ts'
import { readConfig } from '../../src/config.ts'
import { Engine } from '../../src/engine/engine.ts'
import type { Failure } from '../../src/failure.ts'
import { Agents } from '../../src/fleet/agents.ts'
import { inPlainText } from '../../src/fleet/introductions.ts'
import type { Link } from '../../src/fleet/link.ts'
import { statuses } from '../../src/gateway/refusals.ts'
import { openMemoryJournal } from '../../src/journal/memory.ts'
import { views } from '../../src/projections/views.ts'
import type { Probe } from '../../src/rpc/limits.ts'
import { agentOf } from './beside.ts'

export interface House {
  readonly agents: Agents
  readonly engine: Engine
  readonly address: string
  /** The line to a node, once it is up. */
  link(node: string): Promise<Link>
}

export async function houseSide(t: Test, { probe }: { probe?: Probe } = {}): Promise<House> {
  const clock = systemClock
  const journal = openMemoryJournal({ clock })
  const answers = views()
  const engine = new Engine(journal, clock, Object.values(answers))
  await engine.replay()
  const agents = new Agents({
    ...answers,
    clock,
    engine,
    config: readConfig({}, {}),
    introductions: inPlainText,
    look: () => {},
    onBug: error => t.fail('a bug', { error }),
  })
  engine.start(agents.reactor)
  const where = { where: '127.0.0.1:0', statuses }
  const address = await agents.listenFor(probe === undefined ? where : { ...where, probe })
  t.teardown(async () => {
    await agents.close(0)
    engine.close()
    await journal.close()
  })
  return {
    agents,
    engine,
    address,
    async link(node) {
      for (;;) {
        const link = agents.of(node)
        if (link !== undefined) return link
        await new Promise<void>(resolve => {
          const deaf = agents.listen(() => {
            deaf()
            resolve()
          })
        })
      }
    },
  }
}

/** The two ways of dialling. */
export const ways: Readonly<
  Record<
    'attached' | 'dialled',
    (t: Test, house: House, options: Partial<AgentOptions> & { ollama: string }) => Promise<Agent>
  >
> = {
  attached: (t, house, options) => agentOf(t, { ...options, house: house.address }),
  async dialled(t, house, options) {
    const agent = await agentOf(t, { ...options, listen: '127.0.0.1:0' })
    const data = {
      url: `grpc://${agent.address}`,
      slots: 1,
      residentMax: 1,
      labels: {},
      origin: 'api',
    } as const
    await house.engine.dispatch('node', options.name ?? 'n1', { type: 'node.register', data, by: 'test' })
    return agent
  },
}

export interface Answer {
  readonly status: number
  readonly headers: readonly string[]
  readonly body: Buffer
  readonly failure: Failure | undefined
}

/** Takes in what comes of a call, and resolves at its end. */
export function taking(): Receiver & { readonly answer: Promise<Answer>; readonly bytes: () => number } {
  const { promise, resolve } = Promise.withResolvers<Answer>()
  let status = 0
  let headers: readonly string[] = []
  const chunks: Buffer[] = []
  const done = (failure?: Failure): void => resolve({ status, headers, body: Buffer.concat(chunks), failure })
  return {
    answer: promise,
    bytes: () => chunks.reduce((sum, { length }) => sum + length, 0),
    start(code, raw) {
      status = code
      headers = raw
    },
    data: chunk => void chunks.push(chunk),
    end: () => done(),
    fail: done,
  }
}

/** A way to a place that can be broken, or that says nothing more to those who are on it. */
export async function bridge(
  t: Test,
  to: string,
): Promise<{ address: string; cut(): void; silence(): void }> {
  const [, host, port] = /^(.*):(\d+)$/.exec(to)!
  const silent = new WeakSet<Socket>()
  const sockets = new Set<Socket>()
  const server = createServer(here => {
    const there = connect(Number(port), host)
    const pass = (from: Socket, into: Socket): void => {
      sockets.add(from)
      from.on('error', () => {})
      from.on('data', chunk => void (silent.has(from) || into.write(chunk)))
      from.on('close', () => {
        sockets.delete(from)
        if (!silent.has(from)) into.destroy()
      })
    }
    pass(here, there)
    pass(there, here)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const cut = (): void => {
    for (const socket of sockets) socket.destroy()
  }
  t.teardown(() => {
    server.close()
    cut()
  })
  return {
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    cut,
    silence() {
      for (const socket of sockets) silent.add(socket)
    },
  }
}
