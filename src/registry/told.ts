/** Transfers as people are told of them: how far, and for what each waits. */
import type { Config } from '../config.ts'
import { type Fleet, standing } from '../projections/fleet.ts'
import {
  type EndedTransfer,
  inLine,
  type OpenTransfer,
  type TransfersProjection,
} from '../projections/transfers.ts'
import type { Carrier } from './carrier.ts'
import type { Progress } from './progress.ts'

export interface TransferTold {
  readonly id: string
  readonly model: string
  readonly node: string
  readonly state: OpenTransfer['state'] | EndedTransfer['state']
  readonly cause: OpenTransfer['cause']
  readonly by?: string
  readonly attempt: number
  readonly orderedAt: number
  readonly since: number
  readonly waits?: string
  readonly progress?: Progress
  readonly trouble?: string
  readonly reason?: string
  readonly ms?: number
}

export interface TellingNeeds {
  readonly clock: { now(): number }
  readonly config: Pick<Config, 'pulls'>
  readonly fleet: Fleet
  readonly transfers: TransfersProjection
  readonly carrier: Pick<Carrier, 'progress' | 'words'>
}

/** Those that run, then those in line in their order, then those that rest; and the last that ended, newest first. */
export function tellTransfers(needs: TellingNeeds, models?: ReadonlySet<string>): readonly TransferTold[] {
  const { state } = needs.transfers
  const all = [...state.open.values()]
  const running = all.filter(each => each.state === 'running')
  const resting = all.filter(each => each.state === 'resting')
  const busy = running.length
  const open = [
    ...running.map(each => tellOpen(needs, each, { before: 0, busy })),
    ...inLine(state).map((each, before) => tellOpen(needs, each, { before, busy })),
    ...resting.map(each => tellOpen(needs, each, { before: 0, busy })),
  ]
  const ended = state.ended.toReversed().map(each => tellEnded(needs, each))
  return [...open, ...ended].filter(({ model }) => models === undefined || models.has(model))
}

/** How it stands beside the others. */
interface Place {
  /** How many are before it in line. */
  readonly before: number
  /** How many run. */
  readonly busy: number
}

function tellOpen(needs: TellingNeeds, transfer: OpenTransfer, place: Place): TransferTold {
  const progress = needs.carrier.progress(transfer.id)
  const waits = waitsFor(needs, transfer, place)
  return {
    ...tellEnded(needs, transfer),
    ...(waits !== undefined && { waits }),
    ...(progress !== undefined && { progress }),
  }
}

function tellEnded({ carrier }: TellingNeeds, transfer: OpenTransfer | EndedTransfer): TransferTold {
  const { id, model, node, state, cause, by, attempt, orderedAt, since } = transfer
  const ms = 'ms' in transfer ? transfer.ms : undefined
  const { reason: trouble } = transfer
  const reason = trouble === undefined ? undefined : (carrier.words(id) ?? TROUBLES[trouble])
  return {
    ...{ id, model, node, state, cause, attempt, orderedAt, since },
    ...(by !== undefined && { by }),
    ...(state !== 'completed' && trouble !== undefined && { trouble }),
    ...(state !== 'completed' && reason !== undefined && { reason }),
    ...(ms !== undefined && { ms }),
  }
}

function waitsFor(
  { clock, config, fleet }: TellingNeeds,
  { node, state, until }: OpenTransfer,
  { before, busy }: Place,
): string | undefined {
  const there = fleet.state.get(node)
  const away = there?.reach === 'up' ? undefined : `${node} is ${there ? standing(there) : 'gone'}`
  if (state === 'running') return away && `${away}; it goes on when that is back`
  if (state === 'resting') return `again in ${Math.max(1, Math.ceil((until - clock.now()) / 1_000))} s`
  if (away !== undefined) return away
  const { pulls } = config
  if (pulls === 0) return 'pulls are set to 0, so none begins'
  if (busy < pulls) return undefined
  const rule = pulls === 1 ? '1 download at a time' : `${pulls} downloads at a time`
  return before === 0 ? `${rule}, it is next` : `${rule}, ${before} before it`
}

/** Where the node's own words are not known any more. */
const TROUBLES: Readonly<Record<NonNullable<EndedTransfer['reason']>, string>> = {
  unknown: 'the registry has no such model',
  full: 'there is no room on its disk',
  upstream: 'the registry could not be reached, or said no',
  away: 'the node did not answer for too long',
  stalled: 'nothing came any more',
  digest: 'what came is not what was ordered',
  answer: 'the node answered with an error',
  waited: 'its turn did not come within a day',
  long: 'it was not done within a day',
}
