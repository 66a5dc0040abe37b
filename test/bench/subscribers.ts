/**
 * The processes of subscribe.ts, told apart by their first argument: `house` (a whole one, its journal on disk, that
 * decides so many facts a second when it is told to) and `readers` (that follow it, and check what they are told).
 * Each answers over the IPC channel and stays until it is told to stop.
 */
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { systemClock } from '../../src/clock.ts'
import { readConfig } from '../../src/config.ts'
import { openHouse } from '../../src/main.ts'

export interface Pace {
  readonly perSecond: number
  readonly ms: number
}

/** What it took the house, and the last fact. */
export interface Told {
  readonly last: number
  readonly facts: number
  readonly ms: number
  readonly cpuMicros: number
  readonly rssBytes: number
}

export interface ReadersOrder {
  readonly url: string
  readonly readers: number
}

/** Of each fact at each reader. */
export interface Heard {
  readonly received: number
  readonly missing: number
  readonly bytes: number
  /** From the fact's own time to its arrival: milliseconds, by how many took so long. */
  readonly delays: readonly number[]
}

/** A fact of 430 bytes, as those of requests are. */
const NODES = Array.from({ length: 12 }, (_, i) => `gpu-${i}.lab.example`)
const TICK_MS = 5

const roles: Readonly<Record<string, (argument: string) => Promise<unknown>>> = {
  async house(dir) {
    const config = readConfig(
      { data: dir, port: '0', embedded: 'off', grace: '0ms', log: 'silent' },
      {
        OLLAMA_HOST: '127.0.0.1:9',
      },
    )
    const { url, engine, journal } = await openHouse({ config, version: 'bench', clock: systemClock })
    process.on('message', async ({ perSecond, ms }: Pace) => {
      const cpu = process.cpuUsage()
      const began = performance.now()
      const first = journal.durable
      for (let told = 0; performance.now() - began < ms; ) {
        const due = Math.floor(((performance.now() - began) / 1_000) * perSecond)
        for (; told < due; told += 1) {
          engine.commit('model', 'bench:latest', { type: 'model.pull', data: { nodes: NODES } })
        }
        await new Promise(resolve => setTimeout(resolve, TICK_MS))
      }
      await engine.settled()
      const { user, system } = process.cpuUsage(cpu)
      process.send!({
        last: journal.durable,
        facts: journal.durable - first,
        ms: performance.now() - began,
        cpuMicros: user + system,
        rssBytes: process.memoryUsage.rss(),
      } satisfies Told)
    })
    return url
  },

  async readers(argument) {
    const { url, readers } = JSON.parse(argument) as ReadersOrder
    const all: Reader[] = []
    while (all.length < readers) {
      const more = Array.from({ length: Math.min(50, readers - all.length) }, () => Reader.open(url))
      all.push(...(await Promise.all(more)))
    }
    // What is measured begins and ends with a message.
    process.on('message', ({ last }: { last: number | undefined }) => {
      if (last === undefined) {
        for (const reader of all) reader.start()
        delays.fill(0)
        return process.send!('started')
      }
      const over = setInterval(() => {
        if (all.some(reader => reader.last < last) && performance.now() < late) return
        clearInterval(over)
        const sum = (of: (reader: Reader) => number): number => all.reduce((total, one) => total + of(one), 0)
        process.send!({
          received: sum(({ received }) => received),
          missing: sum(reader => reader.missing + Math.max(0, last - reader.last)),
          bytes: sum(({ bytes }) => bytes),
          delays: [...delays],
        } satisfies Heard)
      }, 20)
      const late = performance.now() + 60_000
    })
    return all.length
  },
}

/** By whole milliseconds; the last one stands for all that took longer. */
const delays = new Float64Array(60_001)
/** When each fact says that it happened; looked up once for all readers. */
const times: number[] = []

const ID = Buffer.from('\nid: ')
const AT = Buffer.from('"at":')
/** Between the two of them; and what of a piece's end may be the beginning of a fact. */
const NEAR = 200

class Reader {
  last = 0
  received = 0
  missing = 0
  bytes = 0
  #rest = Buffer.alloc(0)

  static async open(url: string): Promise<Reader> {
    const { hostname, port } = new URL(url)
    const socket: Socket = connect(Number(port), hostname)
    await once(socket, 'connect')
    const reader = new Reader()
    socket.write(`GET /quipu/events HTTP/1.1\r\nHost: ${hostname}:${port}\r\n\r\n`)
    const [head] = (await once(socket, 'data')) as [Buffer]
    if (!head.toString('latin1').startsWith('HTTP/1.1 200')) throw new Error(head.toString('latin1'))
    socket.on('data', chunk => reader.#take(chunk))
    socket.on('close', () => process.exit(1))
    return reader
  }

  start(): void {
    this.received = 0
    this.missing = 0
    this.bytes = 0
  }

  #take(chunk: Buffer): void {
    const now = performance.timeOrigin + performance.now()
    this.bytes += chunk.length
    const text = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk])
    let from = 0
    for (;;) {
      const at = text.indexOf(ID, from)
      if (at < 0 || at + NEAR > text.length) {
        this.#rest = Buffer.from(text.subarray(at < 0 ? Math.max(from, text.length - ID.length + 1) : at))
        return
      }
      from = at + ID.length
      let seq = 0
      for (; text[from]! >= 0x30; from += 1) seq = seq * 10 + text[from]! - 0x30
      // Only where a fact follows: a sign of life has an id, too.
      if (text[from + 1] !== 0x65) continue
      times[seq] ??= timeIn(text, from)
      if (this.last > 0 && seq !== this.last + 1) this.missing += 1
      this.last = seq
      this.received += 1
      const ms = Math.min(delays.length - 1, Math.max(0, Math.round(now - times[seq]!)))
      delays[ms]! += 1
    }
  }
}

function timeIn(text: Buffer, from: number): number {
  const at = text.indexOf(AT, from) + AT.length
  return Number(text.toString('latin1', at, at + 13))
}

if (process.send !== undefined) {
  const [role = '', argument = ''] = process.argv.slice(2)
  process.send(await roles[role]!(argument))
  process.on('disconnect', () => process.exit())
}
