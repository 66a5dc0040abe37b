/**
 * The next certificate, before the present one ends: asked for at two thirds of its time, with a new key; written to the
 * disk; then shown on a new line, while what runs on the old one goes on there.
 *
 *   waiting ──two thirds──▶ asking ──got──▶ waiting
 *                             └── not got: again, later and later, until it has ended; then again all the same, and it warns
 */
import type { Clock, Timer } from '../clock.ts'
import { Failure } from '../failure.ts'
import { LOOK_MS } from '../pki/authority.ts'
import type { Identity, Papers } from '../pki/papers.ts'
import { describe, newRequest } from '../pki/request.ts'
import type { IssuedCertificate } from '../rpc/messages.ts'

export interface RenewalNeeds {
  readonly clock: Clock
  readonly papers: Papers
  /** House.Renew, over the line that is up. */
  readonly renew: (csr: string) => Promise<IssuedCertificate>
  /** Throws a Failure where `save` would. */
  readonly trySave: () => Promise<unknown>
  /** On the disk, whole, once it resolves. */
  readonly save: (identity: Identity) => Promise<void>
  /** Lines from now on, beside those that are up. */
  readonly redial: () => void
  readonly warn: (message: string) => void
}

const RETRY_MS = 30_000
const RETRY_MAX_MS = 3_600_000
const SOONEST_MS = 1_000

export class Renewal {
  readonly #needs: RenewalNeeds
  #timer: Timer | undefined
  #failures = 0
  #closed = false

  constructor(needs: RenewalNeeds) {
    this.#needs = needs
  }

  start(): void {
    const { issuedAt, until } = this.#described()
    this.#wait(until - (until - issuedAt) / 3)
  }

  close(): void {
    this.#closed = true
    this.#timer?.cancel()
  }

  /** Certificates end by the clock on the wall, and timers stand still while a laptop sleeps: so it looks again and again. */
  #wait(dueAt: number): void {
    const left = dueAt - this.#needs.clock.now()
    if (left <= LOOK_MS) this.#again(left)
    else if (!this.#closed) this.#timer = this.#needs.clock.after(LOOK_MS, () => this.#wait(dueAt))
  }

  #again(ms: number): void {
    if (!this.#closed) this.#timer = this.#needs.clock.after(Math.max(ms, 0), () => void this.#ask())
  }

  async #ask(): Promise<void> {
    const { papers, renew, trySave, save, redial, warn, clock } = this.#needs
    try {
      // The house takes the present one for an hour after it has given the next, which must be kept by then.
      await trySave()
      const { key, csr } = newRequest()
      const { certificate, authority } = await renew(csr)
      const next = { key, certificate, authority }
      if (
        describe(next)?.node !== this.#described().node ||
        authority.trim() !== papers.present.authority.trim()
      ) {
        throw new Failure('agent.identity', 'what the house sent is no certificate of this node')
      }
      await save(next)
      papers.replace(next)
      this.#failures = 0
      redial()
      // By a clock that is ahead of the house's, this one is due already: it is not asked for without a pause.
      const { issuedAt, until } = this.#described()
      const pause = Math.min((until - issuedAt) / 3, RETRY_MAX_MS)
      if (!this.#closed) this.#timer = clock.after(pause, () => this.start())
    } catch (error) {
      if (!(error instanceof Failure)) throw error
      const left = this.#described().until - clock.now()
      const end = left > 0 ? `it ends in ${Math.ceil(left / 60_000)} min` : 'it has ended'
      warn(`the certificate could not be renewed, and ${end}: ${error.message}`)
      // Close to the end more often, for a while; after it there is nothing to lose.
      const soon = left > 0 ? Math.max(left / 3, SOONEST_MS) : RETRY_MAX_MS
      const most = Math.min(RETRY_MAX_MS, RETRY_MS * 2 ** this.#failures, soon)
      this.#failures += 1
      this.#again(most * (0.5 + clock.random() / 2))
    }
  }

  #described() {
    return describe(this.#needs.papers.present)!
  }
}
