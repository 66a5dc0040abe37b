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

/**
 * What all must be told, byte by byte. Who comes first writes it down, and reads the facts in it; the others compare, which
 * costs next to nothing, so that the readers do not take the processor from the house.
 */
const script = {
  bytes: Buffer.alloc(64 * 1024 * 1024),
  length: 0,
  /** Where each fact ends, and when it happened. */
  ends: [] as number[],
  times: [] as number[],
  first: 0,
}

const FRAME = /id: (\d+)\nevent: .*\ndata: \{"seq":\d+,"at":(\d+),.*\n\n/g

function learn(piece: Buffer): void {
  const text = piece.toString('latin1')
  for (const { 1: seq, 2: at, 0: frame, index } of text.matchAll(FRAME)) {
    if (script.ends.length === 0) script.first = Number(seq)
    if (Number(seq) !== script.first + script.ends.length) throw new Error(`fact ${seq} is out of order`)
    script.ends.push(script.length + index + frame.length)
    script.times.push(Number(at))
  }
  piece.copy(script.bytes, script.length)
  script.length += piece.length
}

/** Takes HTTP's chunks apart: each is a piece of the script, or a sign of life. */
class Reader {
  received = 0
  missing = 0
  bytes = 0
  /** How far in the script it has come, and which fact is next. */
  #at = 0
  #fact = 0
  #rest = Buffer.alloc(0)

  static async open(url: string): Promise<Reader> {
    const { hostname, port } = new URL(url)
    const socket: Socket = connect(Number(port), hostname)
    await once(socket, 'connect')
    const reader = new Reader()
    socket.write(`GET /quipu/events HTTP/1.1\r\nHost: ${hostname}:${port}\r\n\r\n`)
    let text = Buffer.alloc(0)
    while (!text.includes('\r\n\r\n'))
      text = Buffer.concat([text, ...((await once(socket, 'data')) as Buffer[])])
    if (!text.toString('latin1').startsWith('HTTP/1.1 200')) throw new Error(text.toString('latin1'))
    reader.#take(text.subarray(text.indexOf('\r\n\r\n') + 4))
    socket.on('data', chunk => reader.#take(chunk))
    socket.on('close', () => process.exit(1))
    return reader
  }

  get last(): number {
    return this.#fact === 0 ? 0 : script.first + this.#fact - 1
  }

  start(): void {
    this.received = 0
    this.missing = 0
    this.bytes = 0
  }

  #take(chunk: Buffer): void {
    this.bytes += chunk.length
    const text = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk])
    let from = 0
    for (;;) {
      const line = text.indexOf('\r\n', from)
      const length = line < 0 ? Number.NaN : Number.parseInt(text.toString('latin1', from, line), 16)
      const end = line + 2 + length
      if (Number.isNaN(length) || end + 2 > text.length) break
      const first = text[line + 2]
      if (first === 0x69) this.#hear(text.subarray(line + 2, end)) // i of id; signs of life begin otherwise
      from = end + 2
    }
    this.#rest = Buffer.from(text.subarray(from))
  }

  #hear(piece: Buffer): void {
    const now = performance.timeOrigin + performance.now()
    const end = this.#at + piece.length
    const known = Math.min(piece.length, script.length - this.#at)
    if (piece.compare(script.bytes, this.#at, this.#at + known, 0, known) !== 0) this.missing += 1
    if (end > script.length) learn(piece.subarray(known))
    this.#at = end
    for (; script.ends[this.#fact]! <= end; this.#fact += 1) {
      this.received += 1
      const ms = Math.max(0, Math.round(now - script.times[this.#fact]!))
      delays[Math.min(delays.length - 1, ms)]! += 1
    }
  }
}

if (process.send !== undefined) {
  const [role = '', argument = ''] = process.argv.slice(2)
  process.send(await roles[role]!(argument))
  process.on('disconnect', () => process.exit())
}
