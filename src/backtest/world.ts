/**
 * What every policy meets alike: a virtual clock, nodes that behave as Ollama does, and requests that come when they
 * come (an open loop: nobody asks later because the last answer was late). It keeps the book of what became of each.
 */
import { type VirtualClock, virtualClock } from '../clock.ts'
import { type Away, awayOf } from './calendar.ts'
import type { Fleet } from './fleet.ts'
import { type MakeInside, type Outcome, Site } from './site.ts'
import { Timeline } from './timeline.ts'
import type { Arrival } from './trace.ts'

/** How a policy takes part. */
export interface Player {
  /** Before the first request. */
  open(): Promise<void>
  arrived(outcome: Outcome): void
  /** A node has gone away, having cut these; or it is back. */
  lost(site: Site, cut: readonly Outcome[]): void
  returned(site: Site): void
}

export interface World {
  readonly clock: VirtualClock
  readonly fleet: Fleet
  readonly sites: ReadonlyMap<string, Site>
  /** Chance for the policy; the nodes take none. */
  readonly random: () => number
  /** A request has its answer, or gets none any more. */
  over(outcome: Outcome): void
}

export interface Run {
  readonly outcomes: readonly Outcome[]
  readonly timeline: Timeline
  readonly loads: number
  /** Milliseconds since the epoch. */
  readonly startedAt: number
  readonly endedAt: number
}

export interface Setting {
  readonly fleet: Fleet
  readonly arrivals: readonly Arrival[]
  readonly seed: number
  readonly make: MakeInside
  /** Now and then, with how many requests are over. */
  readonly progress?: (over: number) => void
}

/** How long after the last request those that still wait are given up. */
const LONGEST_MS = 7 * 86_400_000
const STEP_MS = 60_000

export async function play(setting: Setting, player: (world: World) => Player): Promise<Run> {
  const { fleet, arrivals, seed, make, progress = () => {} } = setting
  const startedAt = arrivals[0]!.at
  const latest = arrivals.at(-1)!.at + LONGEST_MS
  const clock = virtualClock({ seed, start: startedAt })
  const timeline = new Timeline()
  const sites = new Map(
    fleet.nodes.map(node => [
      node.name,
      new Site(node, { clock, fleet, make, lane: timeline.lane(node.name) }),
    ]),
  )
  const outcomes = arrivals.map((arrival): Outcome => ({ arrival }))
  let left = outcomes.length
  const over = (outcome: Outcome): void => {
    if (outcome.endedAt === undefined) outcome.leftAt = clock.now()
    left -= 1
  }
  const self = player({ clock, fleet, sites, random: clock.random, over })
  await self.open()
  for (const site of sites.values()) {
    for (const away of awayOf(site.node.off, startedAt, latest)) switched(clock, site, away, self)
  }
  feed(clock, outcomes, outcome => self.arrived(outcome))
  while (left > 0 && clock.now() < latest) {
    await clock.advance(STEP_MS)
    progress(outcomes.length - left)
  }
  const loads = [...sites.values()].reduce((sum, site) => sum + site.loads, 0)
  return { outcomes, timeline, loads, startedAt, endedAt: clock.now() }
}

/** Each sets the timer of the next, so that few are set at once. */
function feed(
  clock: VirtualClock,
  outcomes: readonly Outcome[],
  arrive: (outcome: Outcome) => void,
  next = 0,
): void {
  const outcome = outcomes[next]
  if (outcome === undefined) return
  clock.after(outcome.arrival.at - clock.now(), () => {
    arrive(outcome)
    feed(clock, outcomes, arrive, next + 1)
  })
}

function switched(clock: VirtualClock, site: Site, { from, until }: Away, player: Player): void {
  clock.after(from - clock.now(), () => player.lost(site, site.switchOff()))
  clock.after(until - clock.now(), () => {
    site.switchOn()
    player.returned(site)
  })
}
