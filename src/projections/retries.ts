/** How many more requests may be tried again? What was admitted and what was retried over the last minute, by the second. */
import type { Fleet } from './fleet.ts'
import { projection } from './projection.ts'

interface Second {
  admitted: number
  retried: number
}

/** By the second since the epoch, as the facts have it; at most a minute of them. */
type Seconds = Map<number, Second>

interface Retries {
  readonly seconds: Seconds
  /** Requests that share another's call to a node: a call that breaks is one retry, and not one for each aboard. */
  readonly riders: Set<string>
}

export type RetriesProjection = ReturnType<typeof retries>

const WINDOW_SECONDS = 60
/**
 * Where retries are a tenth of what is asked, trouble everywhere costs a tenth more work, and not three times as much
 * (Google SRE, "Handling Overload"). Finagle, Linkerd and Envoy have a fifth by default, of calls that cost less.
 */
const SHARE = 0.1
/** A house that is asked little may retry all the same. */
const FLOOR = 10

/** No connection came about, so no node did any work; a restart is no node's failure, nor is what a worker gives up. */
const FREE: ReadonlySet<string> = new Set(['refused', 'restart', 'lapsed'])

export const retries = () =>
  projection({ seconds: new Map(), riders: new Set() } as Retries, {
    'request.admitted': ({ seconds }, { at }) => {
      secondOf(seconds, at).admitted += 1
    },
    'request.assigned': ({ riders }, { id, data: { batch = id } }) => {
      if (batch === id) riders.delete(id)
      else riders.add(id)
    },
    'request.retried': ({ seconds, riders }, { id, at, data: { reason, leased } }) => {
      if (!riders.delete(id) && !leased && !isFree(reason)) secondOf(seconds, at).retried += 1
    },
    'request.completed': over,
    'request.failed': over,
    'request.abandoned': over,
    'request.cancelled': over,
  })

export function isFree(reason: string): boolean {
  return FREE.has(reason)
}

/**
 * Beside the tenth there is always as much as one node can run at once: when one dies with all its slots taken, what its
 * clients have seen nothing of is moved, all of it and at once.
 */
export function retriesLeft({ seconds }: Retries, fleet: Fleet['state'], now: number): number {
  const newest = Math.floor(now / 1_000)
  let floor = FLOOR
  for (const { slots, residentMax } of fleet.values()) floor = Math.max(floor, slots * residentMax)
  let admitted = 0
  let retried = 0
  for (const [second, counts] of seconds) {
    if (!isRecent(second, newest)) continue
    admitted += counts.admitted
    retried += counts.retried
  }
  return Math.max(0, floor + Math.floor(SHARE * admitted) - retried)
}

function over({ riders }: Retries, { id }: { readonly id: string }): void {
  riders.delete(id)
}

function secondOf(seconds: Seconds, at: number): Second {
  const newest = Math.floor(at / 1_000)
  let found = seconds.get(newest)
  if (found === undefined) {
    for (const second of seconds.keys()) if (!isRecent(second, newest)) seconds.delete(second)
    found = { admitted: 0, retried: 0 }
    seconds.set(newest, found)
  }
  return found
}

/** Seconds to come are of a wall clock that was set back since. */
function isRecent(second: number, newest: number): boolean {
  return second <= newest && second > newest - WINDOW_SECONDS
}
