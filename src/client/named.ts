/** What a named subscription is asked besides its facts: to be there, and to remember how far its reader is. */
import { type House, post } from './post.ts'

const ANSWER_MAX_MS = 30_000

export interface Wish {
  readonly filter: Readonly<Record<string, string>>
  readonly from?: string
}

export class Named {
  readonly #house: House
  readonly #path: string
  readonly #name: string
  /** The highest seq that is to be acknowledged. */
  #wanted = 0
  #acked = 0
  #acking: Promise<void> | undefined

  constructor(house: House, name: string) {
    this.#house = house
    this.#name = name
    this.#path = `/quipu/subscriptions/${encodeURIComponent(name)}`
  }

  /** Makes it where it is not there; where it is, and wants something else, throws `subscription.taken`. */
  async make(wish: Wish, signal: AbortSignal | undefined): Promise<void> {
    const body = { name: this.#name, ...wish }
    await post(this.#house, { path: '/quipu/subscriptions', body, waitMaxMs: ANSWER_MAX_MS, signal })
  }

  /** Resolves when the house keeps it. One question at a time: the next one is for all that came meanwhile. */
  async ack(seq: number): Promise<void> {
    this.#wanted = Math.max(this.#wanted, seq)
    while (this.#acked < seq) {
      const last = this.#acking
      if (last === undefined) {
        const through = this.#wanted
        this.#acking = this.#send(through).finally(() => {
          this.#acking = undefined
        })
        await this.#acking
      } else await last.catch(() => {}) // whoever asked hears of it, and this one asks again
    }
  }

  async #send(seq: number): Promise<void> {
    await post(this.#house, { path: `${this.#path}/ack`, body: { seq }, waitMaxMs: ANSWER_MAX_MS })
    this.#acked = Math.max(this.#acked, seq)
  }
}
