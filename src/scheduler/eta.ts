/** How long will a request wait for its turn? A guess from the pace of the copies there are; how good, is measured. */
import type { RequestCommand } from '../../machines/request.ts'
import { waitErrorMs } from '../projections/estimates.ts'
import { aheadOf } from '../projections/queue.ts'
import type { Open } from '../projections/requests.ts'
import type { Scheduler } from './scheduler.ts'
import { type NodeSpot, survey } from './survey.ts'

export interface Expected {
  /** Milliseconds; undefined where no node could take it. */
  readonly waitMs?: number
  /** Four predictions in five were wrong by no more; milliseconds. Undefined before there were enough. */
  readonly errorMs?: number
}

/** What the wait of a request depends on; it need not have been admitted. */
export type Asked = Pick<
  Open,
  'id' | 'model' | 'variant' | 'labels' | 'client' | 'class' | 'priority' | 'tokens' | 'admittedAt'
>

/** What is expected of a request that came now: its wait, and how long the answer takes then. Milliseconds. */
export function foresee(
  self: Scheduler,
  order: Ordered,
): { readonly waitMs?: number; readonly runMs?: number } {
  const { model, client, priority, variant = '', labels = {}, class: kind = 'interactive', estimate } = order
  const tokens = estimate ?? { promptTokens: 0, outputTokens: 0 }
  const admittedAt = self.clock.now()
  const asked: Asked = { id: '', model, variant, labels, client, class: kind, priority, tokens, admittedAt }
  const able = ableOf(self, asked)
  const waitMs = waitOf(self, asked, able, aheadOf(self.requests.state.queue, asked))
  if (waitMs === undefined) return {}
  return { waitMs, runMs: Math.min(...able.map(({ runMs }) => runMs)) }
}

type Ordered = Omit<Extract<RequestCommand, { type: 'request.admit' }>['data'], 'expiresAt' | 'attemptsMax'>

export function expectWait(
  self: Scheduler,
  asked: Asked,
  ahead = aheadOf(self.requests.state.queue, asked),
): Expected {
  const errorMs = waitErrorMs(self.estimates.state)
  const waitMs = waitOf(self, asked, ableOf(self, asked), ahead)
  return { ...(waitMs !== undefined && { waitMs }), ...(errorMs !== undefined && { errorMs }) }
}

/** Where it could run at all. */
function ableOf(self: Scheduler, asked: Asked): readonly NodeSpot[] {
  const known = self.residency.state.byModel.has(asked.model)
  return survey(self, asked).filter(
    ({ barred, memory }) => barred === undefined && !(known && memory === 'absent'),
  )
}

function waitOf(self: Scheduler, asked: Asked, able: readonly NodeSpot[], ahead: number): number | undefined {
  const known = self.residency.state.byModel.has(asked.model)
  if (able.length === 0) return undefined
  if (!known) return 0 // any node may say that it does not have it
  const warm = able.filter(({ memory }) => memory === 'resident' || memory === 'loading')
  const waited = self.clock.now() - asked.admittedAt
  const cold = Math.min(
    ...able.filter(({ memory }) => memory === 'present').map(spot => coldMs(spot, ahead, waited)),
  )
  const ms = Math.min(warmMs(warm, ahead), cold)
  return Number.isFinite(ms) ? ms : undefined
}

function warmMs(warm: readonly NodeSpot[], ahead: number): number {
  let pace = 0
  let idle = 0
  let left = Number.POSITIVE_INFINITY
  for (const { memory, slots, running, runMs, loadLeftMs } of warm) {
    pace += slots / Math.max(1, runMs)
    if (memory === 'resident') idle += Math.max(0, slots - running)
    left = Math.min(left, memory === 'loading' ? loadLeftMs : 0)
  }
  if (pace === 0) return Number.POSITIVE_INFINITY
  // Whoever runs now is half through, by and large.
  return left + (ahead < idle ? 0 : (ahead - idle + 0.5) / pace)
}

/** A load that displaces what others use has to ripen first. */
function coldMs({ room, loadMs, evictMs, runMs, slots }: NodeSpot, ahead: number, waitedMs: number): number {
  const price = room === 'free' || (room === 'evict' && evictMs === 0) ? 0 : loadMs + evictMs
  return Math.max(0, price - waitedMs) + loadMs + Math.floor(ahead / slots) * runMs
}
