/**
 * The live sockets behind the open requests. Not state: a map in RAM from a request's id to whoever waits for it in
 * this process. A request that is open in the journal and has no seat here lost its socket with an earlier process.
 */
import type { Engine } from '../engine/engine.ts'
import { type Reactor, reactor } from '../engine/reactor.ts'
import type { Fleet } from '../projections/fleet.ts'
import type { RequestsProjection } from '../projections/requests.ts'

/** What a load for this request should carry; passes beside the journal. */
export interface LoadWish {
  readonly keepAlive?: unknown
  /** A hash of the head of the conversation. */
  readonly head?: number
}

export type Grant =
  /** `batch`: the request whose call it shares. */
  | { readonly to: 'run'; readonly node: string; readonly url: string; readonly batch?: string }
  /** It waited too long, the journal's disk does not write, or the house stops. */
  | { readonly to: 'leave'; readonly reason: 'expired' | 'readonly' | 'stopped' }

/** Why a running request is taken off its node. */
export type Cut = 'lost' | 'wedged' | 'stopped'

interface Seat {
  readonly wish: LoadWish
  /** A grant that nobody has asked for yet, or the one who asked. */
  held?: Grant
  tell?: (grant: Grant) => void
  /** Called when the node it runs on is lost, or the house stops. */
  cut?: (reason: Cut) => void
}

export interface SeatsNeeds {
  readonly engine: Engine
  readonly fleet: Fleet
  readonly requests: RequestsProjection
}

export class Seats {
  readonly reactor: Reactor
  readonly #seats = new Map<string, Seat>()

  constructor(needs: SeatsNeeds) {
    this.reactor = reactor(needs, {
      on: {
        'request.assigned': ({ fleet }, { id, data: { node, batch } }) => {
          const url = fleet.state.get(node)?.url ?? ''
          this.#grant(id, { to: 'run', node, url, ...(batch !== undefined && { batch }) })
        },
        'request.expired': (_needs, { id }) => this.#grant(id, { to: 'leave', reason: 'expired' }),
        'node.lost': ({ requests }, { id, data }) => {
          for (const open of requests.state.open.values()) {
            if (open.node === id && (open.state === 'running' || open.state === 'answering')) {
              this.#seats.get(open.id)?.cut?.(data.reason === 'wedged' ? 'wedged' : 'lost')
            }
          }
        },
      },
      resume: ({ engine, requests }) => {
        for (const { id, job } of requests.state.open.values()) {
          if (job || this.#seats.has(id)) continue // a job has no socket to lose
          const data = { reason: 'restart', retryable: false, bytes: 0, chunks: 0 }
          engine.attempt('request', id, { type: 'request.fail', data })
        }
      },
    })
  }

  /** Before the request is admitted: from here to leave() it is alive in this process. */
  take(id: string, wish: LoadWish): void {
    this.#seats.set(id, { wish })
  }

  /** Resolves when the request is assigned, and that is on disk; or when it has waited too long. */
  granted(id: string): Promise<Grant> {
    return new Promise(resolve => {
      const seat = this.#seats.get(id)!
      if (seat.held === undefined) {
        seat.tell = resolve
        return
      }
      resolve(seat.held)
      delete seat.held
    })
  }

  /** Sends everybody who waits away: nothing can be promised while the disk does not write. */
  dismiss(): void {
    for (const [id, seat] of this.#seats)
      if (seat.tell !== undefined) this.#grant(id, { to: 'leave', reason: 'readonly' })
  }

  /** While it runs: how to be told that its node is gone. */
  onCut(id: string, cut: (reason: Cut) => void): void {
    const seat = this.#seats.get(id)
    if (seat !== undefined) seat.cut = cut
  }

  /** The house stops: who waits is sent away, and what runs is cut. */
  stop(): void {
    for (const [id, seat] of this.#seats) {
      if (seat.tell !== undefined) this.#grant(id, { to: 'leave', reason: 'stopped' })
      else seat.cut?.('stopped')
    }
  }

  wish(id: string): LoadWish | undefined {
    return this.#seats.get(id)?.wish
  }

  leave(id: string): void {
    this.#seats.delete(id)
  }

  #grant(id: string, grant: Grant): void {
    const seat = this.#seats.get(id)
    if (seat === undefined) return
    if (seat.tell === undefined) {
      seat.held = grant
      return
    }
    const tell = seat.tell
    delete seat.tell
    tell(grant)
  }
}
