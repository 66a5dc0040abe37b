/** Who waits for something to happen to a job: woken by each fact about it, once that is on disk. */
import { type Reactor, reactor } from '../../engine/reactor.ts'

export class News {
  readonly reactor: Reactor
  readonly #waiting = new Map<string, Set<() => void>>()

  constructor() {
    const tell = (_self: this, { id }: { readonly id: string }): void => this.#tell(id)
    this.reactor = reactor(this, {
      on: {
        'request.assigned': tell,
        'request.leased': tell,
        'request.begun': tell,
        'request.retried': tell,
        'request.completed': tell,
        'request.failed': tell,
        'request.expired': tell,
        'request.cancelled': tell,
        'spool.erased': tell,
      },
      resume: () => {
        for (const id of this.#waiting.keys()) this.#tell(id)
      },
    })
  }

  /** Resolves with the next fact, or when the signal is aborted, whichever is first. */
  next(id: string, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return Promise.resolve()
    return new Promise(resolve => {
      const waiting = this.#waiting.get(id) ?? new Set()
      this.#waiting.set(id, waiting)
      const wake = (): void => {
        signal.removeEventListener('abort', wake)
        waiting.delete(wake)
        if (waiting.size === 0 && this.#waiting.get(id) === waiting) this.#waiting.delete(id)
        resolve()
      }
      waiting.add(wake)
      signal.addEventListener('abort', wake)
    })
  }

  #tell(id: string): void {
    for (const wake of this.#waiting.get(id) ?? []) wake()
  }
}
