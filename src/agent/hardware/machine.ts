/**
 * What this machine is, and how busy it is. Everything is read in the background, each thing as often as it is worth, and
 * whoever asks is told what was read last: a tool that hangs holds nobody up, and after a while its figures are unknown.
 * Nothing is read while nobody asks.
 */
import { availableParallelism, uptime } from 'node:os'
import type { Clock } from '../../clock.ts'
import type { Equipment, Load } from '../../rpc/messages.ts'
import { type Bounds, cpuUsed, findBounds, inContainer, memoryUsed } from './cgroup.ts'
import { steady } from './disk.ts'
import { ROOTS, type Roots } from './files.ts'
import type { Found } from './gpus.ts'
import { linuxSystem } from './linux.ts'
import { known, passed, share, type Ticks, type Traffic } from './proc.ts'
import { Reading } from './reading.ts'
import { otherSystem, type System } from './system.ts'
import { openTools, type Tools } from './tools.ts'
import { gpuReaders } from './vendors.ts'

export interface Machine {
  /** At once, but for the first time, which waits for the first readings; with `fresh`, everything is read now. */
  equipment(fresh?: boolean): Promise<Equipment>
  /** At once, and begins to read what is due. Shares of time are since the last one. */
  load(): Promise<Omit<Load, 'inFlight'>>
  /** Ends what is under way. */
  close(): void
}

export interface MachineNeeds {
  readonly clock: Clock
  /** The folder of the models, which need not be there yet; where it is not known, nothing is known of its volume. */
  readonly models?: string | undefined
  /** Told when something cannot be read, and when it can be again. */
  readonly warn?: (message: string) => void
  readonly roots?: Partial<Roots>
  readonly tools?: Tools
  readonly platform?: NodeJS.Platform
}

/** How often each is read, at most: while somebody asks, and where reading it takes no longer than usual. */
const EVERY_MS = {
  /** Processors, memory, network: some files of /proc. */
  pulse: 1_000,
  gpus: 10_000,
  free: 30_000,
  bounds: 60_000,
  /** Somebody must open the machine, upgrade it, or mount something. */
  disk: 600_000,
  system: 600_000,
} as const
/** nvidia-smi with eight cards whose driver sleeps takes some seconds; system_profiler, too. */
const DEADLINE_MS = {
  pulse: 2_000,
  gpus: 15_000,
  free: 5_000,
  bounds: 2_000,
  disk: 15_000,
  system: 10_000,
} as const

interface Pulse {
  readonly cores: readonly number[]
  readonly cpu?: number
  readonly memoryBytes?: number
  readonly memoryFreeBytes?: number
  readonly swapTotalBytes?: number
  readonly swapUsedBytes?: number
  readonly receivedBytesPerS?: number
  readonly sentBytesPerS?: number
}

interface Counters {
  readonly at: number
  readonly ticks: ReadonlyMap<string, Ticks>
  readonly traffic: ReadonlyMap<string, Traffic> | undefined
  /** Of the container, in seconds. */
  readonly usedS: number | undefined
}

export function openMachine(needs: MachineNeeds): Machine {
  return new LocalMachine(needs)
}

class LocalMachine implements Machine {
  readonly #system: System
  readonly #clock: Clock
  readonly #pulse: Reading<Pulse>
  readonly #what: Reading<Pick<Equipment, 'os' | 'cpu'>>
  readonly #bounds: Reading<{ readonly container: boolean; readonly bounds: Bounds }>
  readonly #disk: Reading<Equipment['disk'] | undefined>
  readonly #free: Reading<number | undefined>
  readonly #gpus: readonly Reading<Found>[]
  #counters: Counters | undefined
  #volume: Promise<unknown> = Promise.resolve()

  constructor({
    clock,
    models,
    warn = () => {},
    roots: given,
    tools = openTools(),
    platform = process.platform,
  }: MachineNeeds) {
    const roots = { ...ROOTS, ...given }
    const linux = platform === 'linux'
    const system = linux ? linuxSystem(roots) : otherSystem(tools, platform)
    this.#system = system
    this.#clock = clock
    const reading = <T>(
      name: string,
      kind: keyof typeof EVERY_MS,
      read: (signal: AbortSignal) => Promise<T>,
    ) => new Reading<T>({ clock, name, everyMs: EVERY_MS[kind], deadlineMs: DEADLINE_MS[kind], read, warn })
    this.#pulse = reading('the load of the machine', 'pulse', () => this.#feel())
    this.#bounds = reading('what a container may use', 'bounds', async () =>
      linux && (await inContainer(roots))
        ? { container: true, bounds: await findBounds(roots) }
        : { container: false, bounds: {} },
    )
    this.#what = reading('the system', 'system', async signal => {
      const [os, model] = await Promise.all([system.os(signal), system.cpuModel()])
      return { ...known({ os }), ...(model === undefined ? {} : { cpu: { model } }) }
    })
    this.#disk = reading('the volume of the models', 'disk', async () => {
      if (models === undefined) return undefined
      const disk = await this.#onVolume(() => system.disk(models))
      return (
        disk && { ...disk, ...known({ sizeBytes: steady(this.#disk.latest?.sizeBytes, disk.sizeBytes) }) }
      )
    })
    this.#free = reading('free space for models', 'free', async () =>
      models === undefined ? undefined : await this.#onVolume(() => system.freeBytes(models)),
    )
    const memoryBytes = (): number | undefined => this.#pulse.latest?.memoryBytes
    this.#gpus = gpuReaders({
      tools,
      roots,
      platform,
      memoryBytes,
      monotonic: clock.monotonic,
    }).map(({ name, read }) =>
      reading(name, 'gpus', async signal => {
        // How much of the machine's memory a GPU may use is not told before that is known: it would be told twice.
        if (!this.#pulse.tried) await this.#pulse.fresh()
        return await read(signal)
      }),
    )
    // Shares of time need a beginning.
    this.#pulse.want()
    this.#bounds.want()
  }

  async equipment(fresh = false): Promise<Equipment> {
    const slow = [this.#pulse, this.#bounds, this.#what, this.#disk, ...this.#gpus]
    await Promise.all(slow.map(reading => (fresh || !reading.tried ? reading.fresh() : reading.want())))
    const { os, cpu } = this.#what.latest ?? {}
    const { container = false, bounds = {} } = this.#bounds.latest ?? {}
    const cores =
      bounds.cpu === undefined ? availableParallelism() : Math.max(Math.round(bounds.cpu.cores), 1)
    const disk = this.#disk.latest
    return {
      ...known({ os, memoryBytes: this.#pulse.latest?.memoryBytes, disk }),
      ...(cpu === undefined ? {} : { cpu: { ...cpu, cores } }),
      gpus: this.#gpus.flatMap(reading => reading.latest?.gpus ?? []),
      gpusKnown: this.#gpus.every(reading => reading.value?.known ?? false),
      container,
    }
  }

  async load(): Promise<Omit<Load, 'inFlight'>> {
    for (const reading of [this.#bounds, this.#free, ...this.#gpus]) reading.want()
    if (this.#system.quick && this.#pulse.ageMs >= EVERY_MS.pulse) await this.#pulse.fresh()
    else this.#pulse.want()
    const { memoryBytes: _, cores = [], ...pulse } = this.#pulse.value ?? {}
    return {
      cores,
      ...pulse,
      gpus: this.#gpus.flatMap(reading => reading.value?.loads ?? []),
      ...known({ uptimeS: uptimeS(), diskFreeBytes: this.#free.value }),
    }
  }

  close(): void {
    for (const reading of [this.#pulse, this.#bounds, this.#what, this.#disk, this.#free, ...this.#gpus])
      reading.close()
  }

  /** One after the other: a server of files that is gone holds a thread of the pool for each call, and there are four. */
  #onVolume<T>(read: () => Promise<T>): Promise<T> {
    const turn = this.#volume.then(read, read)
    this.#volume = turn
    return turn
  }

  /** Counters of now, and what went by since the last time. */
  async #feel(): Promise<Pulse> {
    const system = this.#system
    // What a container may use comes first: its machine's figures would be wrong, not just less right.
    if (!this.#bounds.tried) await this.#bounds.fresh()
    const bounds = this.#bounds.latest?.bounds ?? {}
    // One that is refused takes no other with it; where all are, that is told.
    const refused: unknown[] = []
    const refuse = (error: unknown): undefined => void refused.push(error)
    const [ticks = new Map<string, Ticks>(), memory = {}, traffic] = await Promise.all([
      system.ticks().catch(refuse),
      system.memory().catch(refuse),
      system.traffic().catch(refuse),
    ])
    if (refused.length === 3) throw refused[0]
    const [usedS, usedBytes] = await Promise.all([
      bounds.cpu === undefined ? undefined : cpuUsed(bounds.cpu),
      bounds.memory === undefined ? undefined : memoryUsed(bounds.memory),
    ])
    const at = this.#clock.monotonic()
    const before = this.#counters
    this.#counters = { at, ticks, traffic, usedS }
    const seconds = before === undefined ? 0 : (at - before.at) / 1_000
    const went =
      before?.traffic === undefined || traffic === undefined ? undefined : passed(before.traffic, traffic)
    const limit = bounds.memory?.limitBytes ?? Number.POSITIVE_INFINITY
    const ofLimit = usedBytes === undefined ? undefined : Math.max(limit - usedBytes, 0)
    return known({
      cores: bounds.cpu === undefined ? shares(before?.ticks, ticks) : [],
      cpu:
        bounds.cpu === undefined
          ? share(before?.ticks.get('cpu'), ticks.get('cpu'))
          : before?.usedS === undefined || usedS === undefined || seconds <= 0
            ? undefined
            : Math.min(Math.max((usedS - before.usedS) / seconds / bounds.cpu.cores, 0), 1),
      memoryBytes: least(memory.totalBytes, bounds.memory?.limitBytes),
      memoryFreeBytes:
        bounds.memory !== undefined && ofLimit === undefined
          ? undefined
          : least(memory.availableBytes, ofLimit),
      swapTotalBytes: memory.swapTotalBytes,
      swapUsedBytes:
        memory.swapTotalBytes === undefined || memory.swapFreeBytes === undefined
          ? undefined
          : memory.swapTotalBytes - memory.swapFreeBytes,
      receivedBytesPerS: went === undefined || seconds <= 0 ? undefined : went.receivedBytes / seconds,
      sentBytesPerS: went === undefined || seconds <= 0 ? undefined : went.sentBytes / seconds,
    })
  }
}

/** Of each core, in order; none where that of one is not known, for then nobody could say which is which. */
function shares(
  before: ReadonlyMap<string, Ticks> | undefined,
  after: ReadonlyMap<string, Ticks>,
): readonly number[] {
  const cores: number[] = []
  for (const [name, now] of after) {
    if (name === 'cpu') continue
    const one = share(before?.get(name), now)
    if (one === undefined) return []
    cores.push(one)
  }
  return cores
}

/** Some sandboxes refuse even that. */
function uptimeS(): number | undefined {
  try {
    return Math.floor(uptime())
  } catch {
    return undefined
  }
}

function least(...values: readonly (number | undefined)[]): number | undefined {
  const there = values.filter(value => value !== undefined)
  return there.length === 0 ? undefined : Math.min(...there)
}
