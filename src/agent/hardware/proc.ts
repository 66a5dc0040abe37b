/** What Linux says in /proc, read from its text. Whatever is not as expected is left out. */

/** Ticks of a processor since the start: at work, and in all. Waiting for a disk is not work. */
export interface Ticks {
  readonly busy: number
  readonly total: number
}

/** /proc/stat: all of them under `cpu`, each core under `cpu0`, `cpu1`, …; those that are off are missing. */
export function readTicks(text: string): ReadonlyMap<string, Ticks> {
  const ticks = new Map<string, Ticks>()
  for (const line of text.split('\n')) {
    if (!line.startsWith('cpu')) break
    const [name = '', ...words] = line.trim().split(/\s+/)
    // user nice system idle iowait irq softirq steal; guests are in user and nice already.
    const [user, nice, system, idle, iowait = 0, irq = 0, softirq = 0, steal = 0] = words.map(Number)
    const busy = user! + nice! + system! + irq + softirq + steal
    const total = busy + idle! + iowait
    if (Number.isFinite(total)) ticks.set(name, { busy, total })
  }
  return ticks
}

/** 0 to 1, of the time between two readings; undefined where none went by, or the counters went back. */
export function share(before: Ticks | undefined, after: Ticks | undefined): number | undefined {
  if (before === undefined || after === undefined) return undefined
  const total = after.total - before.total
  if (total <= 0) return undefined
  return Math.min(Math.max((after.busy - before.busy) / total, 0), 1)
}

export interface Memory {
  readonly totalBytes?: number
  /** What programs may still have: free, or held by caches that give way. */
  readonly availableBytes?: number
  readonly swapTotalBytes?: number
  readonly swapFreeBytes?: number
}

/** /proc/meminfo. */
export function readMeminfo(text: string): Memory {
  const bytes = (name: string): number | undefined => {
    const kib = new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(text)?.[1]
    return kib === undefined ? undefined : Number(kib) * 1_024
  }
  return known({
    totalBytes: bytes('MemTotal'),
    availableBytes: bytes('MemAvailable'),
    swapTotalBytes: bytes('SwapTotal'),
    swapFreeBytes: bytes('SwapFree'),
  })
}

export interface Traffic {
  readonly receivedBytes: number
  readonly sentBytes: number
}

/** /proc/net/dev: counters of every interface but loopback. */
export function readTraffic(text: string): ReadonlyMap<string, Traffic> {
  const traffic = new Map<string, Traffic>()
  for (const line of text.split('\n')) {
    const [, name, rest] = /^\s*([^\s:]+):\s*(.+)$/.exec(line) ?? []
    if (name === undefined || name === 'lo') continue
    const figures = rest!.split(/\s+/)
    const [received = '', sent = ''] = [figures[0], figures[8]]
    if (/^\d{1,20}$/.test(received) && /^\d{1,20}$/.test(sent))
      traffic.set(name, { receivedBytes: Number(received), sentBytes: Number(sent) })
  }
  return traffic
}

/** What went by in between, over the interfaces that are in both. One that was set up anew begins at 0, and is left. */
export function passed(
  before: ReadonlyMap<string, Traffic>,
  after: ReadonlyMap<string, Traffic>,
): Traffic | undefined {
  let receivedBytes = 0
  let sentBytes = 0
  let met = false
  for (const [name, now] of after) {
    const then = before.get(name)
    if (then === undefined) continue
    const [received, sent] = [now.receivedBytes - then.receivedBytes, now.sentBytes - then.sentBytes]
    if (received < 0 || sent < 0) continue
    met = true
    receivedBytes += received
    sentBytes += sent
  }
  // A machine that has nothing but loopback sends nothing; that is known.
  return met || after.size === 0 ? { receivedBytes, sentBytes } : undefined
}

/** /etc/os-release: what people call it. */
export function readOsName(text: string): string | undefined {
  const value = (name: string): string | undefined =>
    new RegExp(`^${name}=(?:"(.*)"|'(.*)'|(.*))$`, 'm')
      .exec(text)
      ?.slice(1)
      .find(found => found !== undefined)
      ?.replace(/\\(.)/g, '$1')
      .trim() || undefined
  return value('PRETTY_NAME') ?? value('NAME')
}

/** /proc/cpuinfo of x86 and of some others; Arm says only numbers there. */
export function readCpuModel(text: string): string | undefined {
  return /^(?:model name|cpu model|cpu)\s*:\s*(.*\S)/im.exec(text)?.[1]?.replace(/\s+/g, ' ')
}

/** Without those that are undefined. */
export function known<T extends object>(
  values: {
    [K in keyof T]: T[K] | undefined
  },
): { [K in keyof T]: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as never
}
