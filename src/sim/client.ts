/** The other end of a request. It may leave at any moment, and whatever is being done for it stops then. */
import type { Clock } from '../clock.ts'

export interface Client {
  readonly gone: boolean
  /** Runs once when the client leaves, at once if it has left. The answer takes the wish back. */
  whenGone(run: () => void): () => void
}

/** Thrown into whatever was waiting for a client that left. Nobody hears of it. */
export class Gone extends Error {
  override readonly name = 'Gone'
}

/** Half a millisecond rounds to a timer of 1 ms; less is not worth one, so that a sim without delays has none. */
const SHORTEST_SLEEP_MS = 0.5

/** Waits, unless there is (almost) nothing to wait for: then it answers `undefined` and costs no turn. */
export function sleep(clock: Clock, ms: number, client: Client): Promise<void> | undefined {
  if (client.gone) throw new Gone()
  if (ms < SHORTEST_SLEEP_MS) return undefined
  return new Promise((resolve, reject) => {
    const timer = clock.after(ms, () => {
      forget()
      resolve()
    })
    const forget = client.whenGone(() => {
      timer.cancel()
      reject(new Gone())
    })
  })
}

/** Waits for the client to lose patience. */
export function forever(client: Client): Promise<never> {
  return new Promise((_, reject) => client.whenGone(() => reject(new Gone())))
}
