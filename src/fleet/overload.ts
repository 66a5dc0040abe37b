/**
 * Has a node been slowed down for so long that it counts? Pure: what is known so far and one more sample in, what is known
 * then out. Time is on the samples.
 *
 *   a cause is seen ──▶ again and again, for as long as it takes (LASTING_MS) ──▶ throttled
 *                       not seen for GAP_MS: never mind                             │ not seen for EASY_MS
 *                                                                                   ▼
 *                                                                                 cooled
 *
 *  1. heat, power: the driver of a GPU holds its clock back. It is power where that GPU is known to be cool.
 *  2. memory: next to nothing is left; or little is, and much has been swapped out. (Something swapped out alone says
 *     nothing: a system that has been up for long swaps what nobody needs.)
 *  3. gpu, cpu: busy, while the house has nothing there that runs or loads. What the house's own work costs is no
 *     overload, and while it runs, nobody can tell whose the load is.
 *  4. The first of these that lasts is what is said. It is said until it is over, whatever else is seen meanwhile.
 */
import type { ThrottleCause } from '../../machines/node.ts'

/** What is not known is left out, and is seen as nothing. */
export interface Sample {
  /** On a clock that never jumps, milliseconds. */
  readonly at: number
  /** The house has something there that runs, or loads. */
  readonly own: boolean
  readonly gpus: readonly {
    readonly utilisation?: number
    readonly temperatureC?: number
    readonly throttled?: boolean
  }[]
  readonly cpu?: number
  readonly memoryBytes?: number
  readonly memoryFreeBytes?: number
  readonly swapUsedBytes?: number
}

export interface Strain {
  /** Of each cause that is being seen: since when, and when last. */
  readonly seen: Readonly<Partial<Record<ThrottleCause, { readonly from: number; readonly last: number }>>>
  /** What it counts as slowed down by, since `from`. */
  readonly cause?: ThrottleCause
}

export const EASE: Strain = { seen: {} }

/**
 * A long prompt warms a GPU for less than a minute; one that is held back for longer has taken the heat in. Others come to
 * a machine for a moment, too: a picture, a build, a film that is cut. Two minutes of that are work.
 */
export const LASTING_MS: Readonly<Record<ThrottleCause, number>> = {
  heat: 60_000,
  power: 60_000,
  memory: 60_000,
  gpu: 120_000,
  cpu: 120_000,
}

/** A clock that is held back comes and goes within seconds. Where samples are rarer, two may be missed. */
export const GAP_MS = 20_000
const MISSED_MAX = 3

/**
 * Longer than it takes to begin: a node that is taken for fast too early gets work, and is slow again; one that is taken
 * for slow too long is only not the first choice.
 */
export const EASY_MS = 180_000

/** In the order in which they are said where several last. */
const CAUSES: readonly ThrottleCause[] = ['heat', 'power', 'memory', 'gpu', 'cpu']

/** Drivers begin to hold the clock back between 80 °C and 95 °C. */
const WARM_C = 75
const BUSY_GPU = 0.5
const BUSY_CPU = 0.9
/** Of the memory: next to none, little; and much, swapped out. */
const NONE_LEFT = 0.03
const LITTLE_LEFT = 0.1
const MUCH_SWAPPED = 0.1

/** One more sample, of those that come every so often. */
export function strained(before: Strain, sample: Sample, everyMs: number): Strain {
  const { at } = sample
  const seen: { -readonly [Cause in ThrottleCause]?: { readonly from: number; readonly last: number } } = {}
  const now = causesIn(sample)
  for (const cause of CAUSES) {
    const known = before.seen[cause]
    const patienceMs = cause === before.cause ? EASY_MS : Math.max(GAP_MS, MISSED_MAX * everyMs)
    const goesOn = known !== undefined && at - known.last <= patienceMs
    if (now.has(cause)) seen[cause] = { from: goesOn ? known.from : at, last: at }
    else if (goesOn) seen[cause] = known
  }
  const lasts = (cause: ThrottleCause): boolean => {
    const run = seen[cause]
    return run !== undefined && run.last - run.from >= LASTING_MS[cause]
  }
  const cause =
    before.cause !== undefined && seen[before.cause] !== undefined ? before.cause : CAUSES.find(lasts)
  return { seen, ...(cause !== undefined && { cause }) }
}

/** As if it had been seen just now: for a node of which the journal says that it is throttled. */
export function strainedBy(cause: ThrottleCause, at: number): Strain {
  return { seen: { [cause]: { from: at, last: at } }, cause }
}

function causesIn(sample: Sample): ReadonlySet<ThrottleCause> {
  const { gpus, cpu = 0, memoryBytes, memoryFreeBytes, swapUsedBytes = 0, own } = sample
  const causes = new Set<ThrottleCause>()
  for (const { throttled, temperatureC = WARM_C } of gpus) {
    if (throttled) causes.add(temperatureC >= WARM_C ? 'heat' : 'power') // (1)
  }
  if (memoryBytes !== undefined && memoryFreeBytes !== undefined) {
    const left = memoryFreeBytes / memoryBytes
    const swapped = swapUsedBytes / memoryBytes
    if (left < NONE_LEFT || (left < LITTLE_LEFT && swapped > MUCH_SWAPPED)) causes.add('memory') // (2)
  }
  if (!own) {
    // (3): on a machine with eight GPUs, one that is busy leaves seven.
    const busy = gpus.flatMap(({ utilisation }) => (utilisation === undefined ? [] : [utilisation]))
    if (busy.length > 0 && busy.reduce((a, b) => a + b) / busy.length >= BUSY_GPU) causes.add('gpu')
    if (cpu >= BUSY_CPU) causes.add('cpu')
  }
  return causes
}
