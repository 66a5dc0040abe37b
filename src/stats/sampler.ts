/**
 * How each server has been, how loaded, and how quick to answer, over time. Samples are not history: they pass beside
 * the journal, in RAM and in a few files of their own. A crash takes the last minute of them.
 */
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { Clock, Timer } from '../clock.ts'
import type { BreakersProjection } from '../projections/breakers.ts'
import { type Fleet, healthy } from '../projections/fleet.ts'
import { type RequestsProjection, runningOn } from '../projections/requests.ts'
import { type KeptRing, readRings, writeRings } from './files.ts'
import { SAMPLED, type Sampled } from './sampled.ts'
import { type Ring, Series, STEPS, type Step } from './series.ts'

export interface Sample {
  /** The node's address. */
  readonly server: string
  /** When its step began, milliseconds since the epoch. */
  readonly at: number
  readonly type: Sampled
  /** The mean, where its step holds more than one. */
  readonly value: number
}

export interface SamplesWanted {
  /** Addresses; all of them where it is not there. */
  readonly servers?: readonly string[] | undefined
  readonly types?: readonly string[] | undefined
  /** Milliseconds since the epoch. */
  readonly sinceAt: number
  /** Else the finest that goes back as far. */
  readonly step?: string | undefined
  readonly limit: number
}

interface GaugesOf {
  readonly cpu?: number
  readonly memoryFreeBytes?: number
  readonly diskFreeBytes?: number
  readonly gpu?: number
  readonly vramUsedBytes?: number
  readonly temperatureC?: number
  readonly powerW?: number
}

export interface ServerStatsNeeds {
  readonly clock: Clock
  readonly fleet: Fleet
  readonly requests: RequestsProjection
  readonly breakers: BreakersProjection
  readonly vitals: ReadonlyMap<string, { readonly seenAt: number; readonly answerMs: number }>
  /** What agents say of nodes, while it holds; see fleet/watching.ts. */
  readonly agents: { gauges(node: string): GaugesOf | undefined }
  /** Where the files are; without it everything is in RAM only. */
  readonly dir?: string | undefined
  readonly warn: (message: string) => void
}

const SAMPLE_MS = STEPS[0]!.ms
/** How often each file is written. Coarser ones are made up from the finer ones at the start. */
const WRITE_MS: Readonly<Record<Step['name'], number>> = { '10s': 60_000, '5m': 300_000, '1h': 3_600_000 }
/** A server that was not sampled for so long is forgotten. */
const SILENT_MAX_MS = STEPS.at(-1)!.ms * STEPS.at(-1)!.kept
/** 54 KB each, and up to 126 KB more with an agent. Of more than these, the one that was silent for longest is forgotten. */
const SERVERS_MAX = 2_000

export class ServerStats {
  readonly #needs: ServerStatsNeeds
  readonly #servers = new Map<string, Figures>()
  /** Answers to looks that have been sampled, by address: an old one is no new sample. */
  readonly #seenAt = new Map<string, number>()
  readonly #writtenAt = new Map<Step, number>()
  #writing: Promise<void> | undefined
  #troubled = false
  #timer: Timer | undefined

  constructor(needs: ServerStatsNeeds) {
    this.#needs = needs
  }

  /** Takes up what the files hold. What cannot be read is warned of and left out: they are samples, and no more. */
  async open(): Promise<void> {
    const { dir, warn } = this.#needs
    if (dir === undefined) return
    const found = new Map<string, Map<Step, Ring>>()
    for (const step of STEPS) {
      const path = join(dir, step.name)
      try {
        for (const { server, type, ring } of await readRings(path, step, SERVERS_MAX * SAMPLED.length)) {
          const key = `${type} ${server}`
          if (!found.has(key)) found.set(key, new Map())
          found.get(key)!.set(step, ring)
        }
      } catch (error) {
        warn(`${path} cannot be read, and begins anew: ${(error as Error).message}`)
      }
    }
    for (const [key, rings] of found) {
      const [type = '', server = ''] = key.split(' ', 2)
      if (!isSampled(type)) continue
      const all = this.#servers.get(server) ?? fresh()
      all[type] = new Series(rings)
      this.#servers.set(server, all)
    }
    this.#forgetSilent()
  }

  /** A sample every 10 s from now on. */
  start(): void {
    const { clock } = this.#needs
    // In step with the clock, so that each step of 10 s has one.
    this.#timer = clock.after(SAMPLE_MS - (clock.now() % SAMPLE_MS), () => {
      this.#sample()
      this.start()
    })
  }

  /** Newest first; the step that the time falls into is the last. */
  rows({ servers, types, sinceAt, step: name, limit }: SamplesWanted): readonly Sample[] {
    const now = this.#needs.clock.now()
    const i = STEPS.findIndex(({ name: known, ms, kept }) =>
      name === undefined ? sinceAt >= now - ms * kept : known === name,
    )
    const level = i === -1 ? STEPS.length - 1 : i
    const { ms, kept } = STEPS[level]!
    const wanted = [...this.#servers]
      .filter(([server]) => servers?.includes(server) ?? true)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .flatMap(([server, all]) =>
        SAMPLED.flatMap(type => {
          const series = all[type]
          return series === undefined ? [] : [{ server, type, ring: series.rings[level]! }]
        }),
      )
      .filter(({ type, ring }) => ring.latest !== -1 && (types?.includes(type) ?? true))
    const newest = wanted.reduce((newest, { ring }) => Math.max(newest, ring.latest), -1)
    const oldest = Math.max(Math.floor(sinceAt / ms), newest - kept + 1)
    const rows: Sample[] = []
    for (let slot = newest; slot >= oldest; slot -= 1) {
      for (const { server, type, ring } of wanted) {
        const value = ring.at(slot)
        if (Number.isNaN(value)) continue
        if (rows.length >= limit) return rows
        rows.push({ server, at: slot * ms, type, value: Math.round(value * 1_000) / 1_000 })
      }
    }
    return rows
  }

  /** Resolves when all that was sampled is written. */
  async close(): Promise<void> {
    this.#timer?.cancel()
    await this.#writing
    this.#write(STEPS)
    await this.#writing
  }

  #sample(): void {
    const { clock, fleet, requests, breakers, vitals } = this.#needs
    const at = clock.now()
    for (const node of fleet.state.values()) {
      const { name, url } = node
      const series = this.#server(url, at)
      if (series === undefined) continue
      this.#sampleAgent(series, name, at)
      const { health, load, latency } = series
      health.add(at, healthy(node, breakers.state.nodes.get(name)?.state) ? 1 : 0)
      load.add(at, runningOn(requests.state, name))
      const { seenAt = 0, answerMs = 0 } = vitals.get(name) ?? {}
      if (seenAt > (this.#seenAt.get(url) ?? 0)) latency.add(at, answerMs)
      this.#seenAt.set(url, seenAt)
    }
    this.#write(STEPS.filter(step => at - (this.#writtenAt.get(step) ?? 0) >= WRITE_MS[step.name]))
  }

  #sampleAgent(figures: Figures, name: string, at: number): void {
    const gauges = this.#needs.agents.gauges(name)
    if (gauges === undefined) return
    for (const type of TOLD) {
      const value = GAUGES[type](gauges)
      if (value === undefined) continue
      figures[type] ??= new Series()
      figures[type].add(at, value)
    }
  }

  /** Undefined where there is no room, because all the others are sampled just now. */
  #server(url: string, at: number): Figures | undefined {
    const known = this.#servers.get(url)
    if (known !== undefined) return known
    if (this.#servers.size >= SERVERS_MAX) {
      const [oldest, { health }] = [...this.#servers].reduce((a, b) =>
        a[1].health.latestAt <= b[1].health.latestAt ? a : b,
      )
      if (health.latestAt >= at - SAMPLE_MS) return undefined
      this.#servers.delete(oldest)
      this.#seenAt.delete(oldest)
    }
    const made = fresh()
    this.#servers.set(url, made)
    return made
  }

  #forgetSilent(): void {
    const since = this.#needs.clock.now() - SILENT_MAX_MS
    for (const [server, { health }] of this.#servers) {
      if (health.latestAt >= since) continue
      this.#servers.delete(server)
      this.#seenAt.delete(server)
    }
  }

  /** One at a time: while the disk is slow, what is due waits for the next sample. */
  #write(steps: readonly Step[]): void {
    const { clock, dir } = this.#needs
    if (dir === undefined || steps.length === 0 || this.#writing !== undefined) return
    for (const step of steps) this.#writtenAt.set(step, clock.now())
    if (steps.includes(STEPS.at(-1)!)) this.#forgetSilent()
    this.#writing = this.#put(dir, steps).finally(() => {
      this.#writing = undefined
    })
  }

  async #put(dir: string, steps: readonly Step[]): Promise<void> {
    try {
      await mkdir(dir, { recursive: true })
      for (const step of steps) await writeRings(join(dir, step.name), step, this.#rings(STEPS.indexOf(step)))
      this.#troubled = false
    } catch (error) {
      // Once, and not every minute while a disk is full.
      if (!this.#troubled) {
        this.#needs.warn(`the samples cannot be written to ${dir}: ${(error as Error).message}`)
      }
      this.#troubled = true
    }
  }

  *#rings(level: number): Generator<KeptRing> {
    for (const [server, all] of this.#servers) {
      for (const type of SAMPLED) {
        const series = all[type]
        if (series !== undefined) yield { server, type, ring: series.rings[level]! }
      }
    }
  }
}

/** What the house sees of every node itself; the rest only an agent tells, and most nodes may have none. */
type Seen = 'health' | 'load' | 'latency'
type Figures = Record<Seen, Series> & Partial<Record<Sampled, Series>>

const GAUGES: Readonly<Record<Exclude<Sampled, Seen>, (gauges: GaugesOf) => number | undefined>> = {
  cpu: ({ cpu }) => cpu,
  memory_free: ({ memoryFreeBytes }) => memoryFreeBytes,
  disk_free: ({ diskFreeBytes }) => diskFreeBytes,
  gpu: ({ gpu }) => gpu,
  gpu_memory: ({ vramUsedBytes }) => vramUsedBytes,
  gpu_temperature: ({ temperatureC }) => temperatureC,
  gpu_power: ({ powerW }) => powerW,
}
const TOLD = Object.keys(GAUGES) as Exclude<Sampled, Seen>[]

function fresh(): Figures {
  return { health: new Series(), load: new Series(), latency: new Series() }
}

function isSampled(type: string): type is Sampled {
  return (SAMPLED as readonly string[]).includes(type)
}
