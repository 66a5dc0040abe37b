/**
 * What it costs to reach an Ollama through an agent that attached, beside a plain relay of HTTP in the same place: bytes up
 * and down, and a hundred paced streams, in turns. The caller is this process, with the client that a house has; processor is
 * counted of the caller and of the relay together, since each way moves work from one to the other.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { Readable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { Outgoing, Receiver, Upstream } from '../../src/call.ts'
import { systemClock as clock } from '../../src/clock.ts'
import { Attached } from '../../src/fleet/attached.ts'
import { attachedLink } from '../../src/fleet/attachedlink.ts'
import { inPlainText } from '../../src/fleet/introductions.ts'
import { statuses } from '../../src/gateway/refusals.ts'
import { Ollama } from '../../src/ollama/ollama.ts'
import { houseService } from '../../src/rpc/definitions.ts'
import { CALLS_MAX, MESSAGE_BYTES_MAX, PROBE } from '../../src/rpc/limits.ts'
import { openServer } from '../../src/rpc/server.ts'
import { median, percentile, type Row } from './row.ts'

const CHILD = fileURLToPath(new URL('./agentchild.ts', import.meta.url))
const ROUNDS = 5
const BLOB_BYTES = 268_435_456
const CHUNK = Buffer.alloc(65_536, 'x')
const STREAMS = 100
const TOKENS = 60
const EVERY_MS = 50

type Way = Pick<Upstream, 'send'>

interface Trial {
  readonly ms: number
  readonly cpuMs: number
  /** Milliseconds to the first byte of each answer, and of each token from its writing to its coming. */
  readonly firsts: readonly number[]
  readonly delays: readonly number[]
}

export async function agentBench(): Promise<Row[]> {
  const children: ChildProcess[] = []
  const start = async (role: string, order: object = {}): Promise<{ child: ChildProcess; said: string }> => {
    const child = fork(CHILD, [role, JSON.stringify(order)])
    children.push(child)
    const [said] = await once(child, 'message')
    return { child, said: said as string }
  }
  const attached = new Attached({
    clock,
    identify: inPlainText.identify,
    welcome: async () => {},
    heard: () => {},
    onBug: error => {
      throw error
    },
  })
  const where = '127.0.0.1:0'
  const server = await openServer({
    clock,
    where,
    credentials: inPlainText.serving(where),
    statuses,
    onBug: error => {
      throw error
    },
    probe: PROBE,
    messageBytesMax: MESSAGE_BYTES_MAX,
    callsMax: CALLS_MAX,
    offers: [
      {
        service: houseService,
        handlers: { Attach: { exchange: (stream, caller) => attached.attach(stream, caller) } },
      },
    ],
  })
  try {
    const { said: origin } = await start('origin')
    const http = await start('http', { origin })
    const agent = await start('agent', { origin, house: server.address })
    const ways: Readonly<Record<string, { readonly way: Way; readonly child: ChildProcess }>> = {
      'plain HTTP': { way: new Ollama(http.said, { linkLocal: true }), child: http.child },
      'an agent': { way: attachedLink(attached, 'n1', clock), child: agent.child },
    }
    const kinds: Readonly<Record<string, (way: Way) => Promise<Omit<Trial, 'cpuMs'>>>> = { up, down, streams }
    const rows: Row[] = []
    for (const [kind, run] of Object.entries(kinds)) {
      const results: Record<string, Trial[]> = { 'plain HTTP': [], 'an agent': [] }
      for (let round = -1; round < ROUNDS; round += 1) {
        for (const [name, { way, child }] of Object.entries(ways)) {
          const before = (await cpuOf(child)) + own()
          const trial = await run(way)
          const cpuMs = ((await cpuOf(child)) + own() - before) / 1_000
          // The first round warms up.
          if (round >= 0) results[name]!.push({ ...trial, cpuMs })
        }
      }
      rows.push(...(kind === 'streams' ? streamRows(results) : blobRows(kind, results)))
    }
    return rows
  } finally {
    for (const child of children) child.disconnect()
    await server.close(0)
  }
}

function blobRows(kind: string, results: Readonly<Record<string, readonly Trial[]>>): Row[] {
  const megabytes = BLOB_BYTES / 1e6
  const rows = Object.entries(results).map(([way, trials]) => ({
    name: `bytes ${kind}, through ${way}`,
    value: megabytes / (median(trials.map(({ ms }) => ms)) / 1_000),
    unit: 'MB/s',
    note: `${(median(trials.map(({ cpuMs }) => cpuMs)) / (megabytes / 1_000)).toFixed(0)} ms of processor a GB, caller and relay`,
  }))
  return [...rows, ratio(`processor for bytes ${kind}`, results)]
}

function streamRows(results: Readonly<Record<string, readonly Trial[]>>): Row[] {
  const rows = Object.entries(results).flatMap(([way, trials]) => {
    const at = (of: 'firsts' | 'delays', part: number): number =>
      median(trials.map(trial => percentile(trial[of], part)))
    const row = (name: string, of: 'firsts' | 'delays'): Row => ({
      name: `${name}, ${STREAMS} streams through ${way}, p50`,
      value: at(of, 0.5),
      unit: 'ms',
      note: `p99 ${at(of, 0.99).toFixed(1)} ms`,
    })
    const cpuMicros = (median(trials.map(({ cpuMs }) => cpuMs)) * 1_000) / (STREAMS * TOKENS)
    return [
      row('time to the first token', 'firsts'),
      {
        ...row('delay of a token', 'delays'),
        note: `p99 ${at('delays', 0.99).toFixed(1)} ms; ${cpuMicros.toFixed(0)} µs of processor each`,
      },
    ]
  })
  return [...rows, ratio('processor for streams', results)]
}

function ratio(name: string, results: Readonly<Record<string, readonly Trial[]>>): Row {
  const cpu = (way: string): number => median(results[way]!.map(({ cpuMs }) => cpuMs))
  return {
    name: `${name}: an agent to plain HTTP`,
    value: cpu('an agent') / cpu('plain HTTP'),
    unit: '×',
    note: 'aim: 1.5',
  }
}

async function up(way: Way): Promise<Omit<Trial, 'cpuMs'>> {
  let left = BLOB_BYTES
  const body = new Readable({
    highWaterMark: CHUNK.length * 4,
    read() {
      left -= CHUNK.length
      this.push(left >= 0 ? CHUNK : null)
    },
  })
  const headers = { 'content-length': String(BLOB_BYTES) }
  return await asked(way, { method: 'POST', path: '/api/up', headers, body }, () => {})
}

async function down(way: Way): Promise<Omit<Trial, 'cpuMs'>> {
  let bytes = 0
  const path = `/api/down?bytes=${BLOB_BYTES}`
  const trial = await asked(way, { method: 'GET', path, headers: {}, body: null }, chunk => {
    bytes += chunk.length
  })
  if (bytes !== BLOB_BYTES) throw new Error(`${bytes} of ${BLOB_BYTES} bytes came`)
  return trial
}

async function streams(way: Way): Promise<Omit<Trial, 'cpuMs'>> {
  const delays: number[] = []
  const path = `/api/generate?tokens=${TOKENS}&everyMs=${EVERY_MS}`
  const headers = { 'content-type': 'application/json' }
  const began = performance.now()
  const trials = await Promise.all(
    Array.from({ length: STREAMS }, async (_, i) => {
      await sleep(i * 7) // Streams do not start as one.
      let text = ''
      let tokens = 0
      const body = Buffer.from('{"model":"tiny","prompt":"hello"}')
      const trial = await asked(way, { method: 'POST', path, headers, body }, chunk => {
        const now = process.hrtime.bigint()
        const lines = (text + chunk.toString('latin1')).split('\n')
        text = lines.pop()!
        for (const line of lines) {
          tokens += 1
          delays.push(Number(now - BigInt(/"at":(\d+)/.exec(line)![1]!)) / 1e6)
        }
      })
      if (tokens !== TOKENS) throw new Error(`${tokens} of ${TOKENS} tokens came`)
      return trial
    }),
  )
  return { ms: performance.now() - began, firsts: trials.flatMap(({ firsts }) => firsts), delays }
}

/** One call, to its end. */
function asked(way: Way, out: Outgoing, data: Receiver['data']): Promise<Omit<Trial, 'cpuMs'>> {
  const began = performance.now()
  let first = 0
  return new Promise((resolve, reject) => {
    way.send(out, {
      start(status) {
        if (status >= 300) reject(new Error(`answered ${status}`))
      },
      data(chunk) {
        if (first === 0) first = performance.now() - began
        data(chunk)
      },
      end: () => resolve({ ms: performance.now() - began, firsts: [first], delays: [] }),
      fail: reject,
    })
  })
}

async function cpuOf(child: ChildProcess): Promise<number> {
  child.send('')
  const [{ cpuMicros }] = (await once(child, 'message')) as [{ cpuMicros: number }]
  return cpuMicros
}

function own(): number {
  const { user, system } = process.cpuUsage()
  return user + system
}
