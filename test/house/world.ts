/** A whole house in this process, in front of simulated nodes, with its journal in memory; and what tests ask of it. */
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'tap'
import type { Fact } from '../../machines/index.ts'
import { type Clock, systemClock } from '../../src/clock.ts'
import { type Flags, readConfig } from '../../src/config.ts'
import type { Entry, Journal } from '../../src/journal/journal.ts'
import { openMemoryJournal } from '../../src/journal/memory.ts'
import { type House, openHouse } from '../../src/main.ts'
import { type Sim, type SimOptions, startSim } from '../../src/sim/sim.ts'

export interface World {
  readonly house: House
  readonly sims: readonly Sim[]
  readonly url: string
  /** Facts so far, all or of some types. */
  facts<T extends Fact['type']>(...types: readonly T[]): Promise<(Entry & { type: T })[]>
  /** Resolves with the first fact of a type (that fits), now or to come. */
  fact<T extends Fact['type']>(
    type: T,
    fits?: (fact: Entry & { type: T }) => boolean,
  ): Promise<Entry & { type: T }>
  post(path: string, body: object, headers?: Record<string, string>): Promise<Response>
  generate(body?: object, headers?: Record<string, string>): Promise<Response>
}

/** Nodes fast enough for tests: a load takes 30 ms, a token 2 ms. */
const QUICK: Partial<SimOptions> = { loadMs: 30, prefillTps: 1e6, decodeTps: 500, words: 8 }

export async function world(
  t: Test,
  {
    sims: specs = [{}],
    flags = {},
    journal,
    clock = systemClock,
  }: { sims?: Partial<SimOptions>[]; flags?: Flags; journal?: Journal; clock?: Clock } = {},
): Promise<World> {
  const sims: Sim[] = []
  for (const [i, spec] of specs.entries()) sims.push(await startSim({ name: `n${i + 1}`, ...QUICK, ...spec }))
  t.teardown(() => Promise.all(sims.map(sim => sim.close())))
  const node = sims.map(
    (sim, i) =>
      `${sim.url},name=${sim.name},slots=${specs[i]!.slots ?? 1},resident=${specs[i]!.resident ?? 1}`,
  )
  const config = readConfig(
    {
      port: '0',
      embedded: 'off',
      log: 'silent',
      'probe-every': '200ms',
      grace: '0ms',
      data: dataFolder(t),
      ...flags,
      node,
    },
    {},
  )
  const house = await openHouse({
    config,
    version: '0.0.0',
    clock,
    journal: journal ?? openMemoryJournal(),
    onBug: error => t.fail('a bug', { error }),
  })
  t.teardown(() => house.close())
  return view(house, sims)
}

/** Of a house whose journal is in memory: its spool is not. */
export function dataFolder(t: Test): string {
  const dir = mkdtempSync(join(tmpdir(), 'quipu-'))
  t.teardown(() => rmSync(dir, { recursive: true, force: true }))
  return dir
}

export function view(house: House, sims: readonly Sim[]): World {
  const { url, journal } = house
  const world: World = {
    house,
    sims,
    url,
    async facts(...types) {
      await house.engine.settled().catch(() => {})
      const found: Entry[] = []
      for await (const page of journal.read())
        found.push(...page.filter(({ type }) => types.length === 0 || types.includes(type as never)))
      return found as never
    },
    fact: (type, fits = () => true) =>
      new Promise(resolve => {
        let seen = 0
        const look = async (): Promise<void> => {
          for await (const page of journal.read({ after: seen })) {
            for (const entry of page) {
              seen = Math.max(seen, entry.seq)
              if (entry.type !== type || !fits(entry as never)) continue
              unwatch()
              resolve(entry as never)
              return
            }
          }
        }
        const unwatch = journal.watch(() => void look())
        void look()
      }),
    post: (path, body, headers = {}) =>
      fetch(url + path, { method: 'POST', body: JSON.stringify(body), headers }),
    generate: (body = {}, headers = {}) =>
      world.post('/api/generate', { model: 'tiny', prompt: 'hello', ...body }, headers),
  }
  return world
}

/** The story of one request: the types of its facts, in order. */
export async function storyOf({ facts }: World, id: string | null): Promise<string[]> {
  return (await facts()).filter(entry => entry.id === id).map(({ type }) => type)
}

/** A raw POST whose bytes and end can be watched; fetch hides how a body ended. */
export async function rawPost(
  url: string,
  path: string,
  body: object,
): Promise<{ head: string; text: string; ended: boolean }> {
  const { connect } = await import('node:net')
  const { hostname, port } = new URL(url)
  const socket = connect(Number(port), hostname)
  const payload = JSON.stringify(body)
  socket.write(
    `POST ${path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(payload)}\r\n\r\n${payload}`,
  )
  const chunks: Buffer[] = []
  socket.on('data', chunk => {
    chunks.push(chunk)
    if (chunk.includes('\r\n0\r\n\r\n')) socket.end()
  })
  socket.on('error', () => {})
  await once(socket, 'close')
  const all = Buffer.concat(chunks).toString()
  const cut = all.indexOf('\r\n\r\n')
  return { head: all.slice(0, cut), text: all.slice(cut + 4), ended: all.endsWith('0\r\n\r\n') }
}
