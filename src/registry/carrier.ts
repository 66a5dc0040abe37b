/**
 * Makes transfers happen: in line, as many at once as may be, each from `transfer.begun` to its end.
 *
 *   in line ──begin──▶ pulls ──done──▶ looks at the node ──the copy is there──▶ complete
 *                       │  ▲                         └──it is not──▶ fail
 *                       │  └──the node answers again──┐
 *                       ├──the road is cut──▶ waits ──┴──for too long──▶ fail
 *                       └──the node says why──▶ fail
 *
 * It acts only on a `transfer.begun` that is on disk: the try's name is in it, and a house that starts again goes on with
 * that one. The node is looked at before the transfer is completed, so that `replica.found` stands in the journal first:
 * there is no moment at which a copy is neither on its way nor there, and would be ordered again. A copy that turns up
 * by another way completes the transfer, too.
 *
 * What is asked of the whole fleet's line to the outside is patience: one pull at a time, unless told otherwise.
 */
import type { Clock, Timer } from '../clock.ts'
import type { Config } from '../config.ts'
import type { Engine } from '../engine/engine.ts'
import { type Reactor, reactor } from '../engine/reactor.ts'
import { Failure } from '../failure.ts'
import type { Catalog } from '../projections/catalog.ts'
import type { Fleet } from '../projections/fleet.ts'
import type { Residency } from '../projections/residency.ts'
import { inLine, type OpenTransfer, type TransfersProjection } from '../projections/transfers.ts'
import { Gauge, type Progress } from './progress.ts'
import { agented, isRoad, type Puller, PullFailed, type PullOrder } from './puller.ts'

export interface CarrierNeeds {
  readonly engine: Engine
  readonly clock: Clock
  readonly config: Pick<Config, 'pulls' | 'healAfterMs'>
  readonly fleet: Fleet
  readonly residency: Residency
  readonly catalog: Catalog
  readonly transfers: TransfersProjection
  readonly puller: Pick<Puller, 'pull' | 'cancel'>
  /** Looks at a node now. Resolves when what was seen has been turned into commands. */
  readonly look: (node: string) => Promise<void>
}

/** One try under way. */
interface Run {
  readonly order: PullOrder
  readonly gauge: Gauge
  readonly stop: AbortController
  /** When bytes last came, on a clock that never jumps; and since when it was cut, with none between. */
  movedMs: number
  cutMs: number | undefined
}

const ROAD_PAUSE_MS = 1_000
const ROAD_PAUSE_MAX_MS = 10_000
/** A copy that was stopped while the house was away may have gone on without it; later than this it is at an end. */
const STOPPED_MS = 24 * 3_600_000
/** Until an agent that could not be told is tried again. */
const UNTOLD_MS = 10_000
/** What nodes said last, of so many transfers. */
const WORDS_MAX = 1_000

export class Carrier {
  readonly reactor: Reactor
  readonly #needs: CarrierNeeds
  readonly #runs = new Map<string, Run>()
  /** Words of nodes are for people, and not for the journal: they may quote addresses that let somebody in. */
  readonly #words = new Map<string, string>()
  #bytes = 0
  readonly #end = new AbortController()

  constructor(needs: CarrierNeeds) {
    this.#needs = needs
    const line = (self: Carrier): void => self.#line()
    const over = (self: Carrier, { id }: { readonly id: string }): void => {
      self.#stop(id)
      self.#line()
    }
    this.reactor = reactor(this as Carrier, {
      on: {
        'transfer.ordered': line,
        'transfer.raised': line,
        'transfer.retried': line,
        'transfer.begun': (self, { id }) => self.#carry(id),
        'transfer.completed': (self, { id }) => {
          self.#runs.delete(id)
          self.#line()
        },
        'transfer.failed': over,
        'transfer.abandoned': over,
        'transfer.cancelled': over,
        'replica.found': (self, { id }) => self.#turnedUp(id),
        'node.lost': (self, { id }) => self.#lost(id),
        'node.joined': line,
        'node.returned': line,
        'node.removed': line,
        'setting.set': line,
        'setting.reset': line,
      },
      resume: self => {
        const { clock, transfers } = self.#needs
        for (const transfer of [...transfers.state.open.values()]) self.#carry(transfer.id)
        for (const { command, node, state, since } of transfers.state.ended)
          if (command !== undefined && state !== 'completed' && clock.now() - since < STOPPED_MS)
            void self.#callOff({ command, node })
        self.#line()
      },
    })
  }

  /** How far a transfer has come; undefined where nothing is under way. */
  progress(id: string): Progress | undefined {
    return this.#runs.get(id)?.gauge.now()
  }

  /** What the node said when it went wrong last, as far as this run of the house knows. */
  words(id: string): string | undefined {
    return this.#words.get(id)
  }

  /** Bytes that came over the wire since the house started. */
  get bytes(): number {
    return this.#bytes
  }

  /** Agents go on; what only a connection of the house held stops, and goes on when the house is back. */
  close(): void {
    this.#end.abort()
    for (const { stop } of this.#runs.values()) stop.abort()
    this.#runs.clear()
  }

  /** Begins those whose turn it is. Who cannot now does not keep others waiting. */
  #line(): void {
    const { clock, config, engine, fleet, transfers } = this.#needs
    if (this.#end.signal.aborted) return
    for (const { id, node } of [...transfers.state.open.values()]) {
      if (fleet.state.has(node)) continue
      engine.attempt('transfer', id, { type: 'transfer.cancel', data: { why: 'gone' }, by: 'registry' })
    }
    let free = config.pulls - [...transfers.state.open.values()].filter(t => t.state === 'running').length
    for (const transfer of inLine(transfers.state)) {
      if (free <= 0) return
      if (this.#have(transfer)) {
        this.#complete(transfer, 0)
        continue
      }
      if (fleet.state.get(transfer.node)?.reach !== 'up') continue
      const command = clock.id()
      const begun = engine.attempt('transfer', transfer.id, {
        type: 'transfer.begin',
        data: { command },
        by: 'registry',
      })
      if (begun.length > 0) free -= 1
    }
  }

  /** What runs, as the journal has it; once, however often it is told. */
  #carry(id: string): void {
    const { catalog, clock, fleet, transfers } = this.#needs
    const transfer = transfers.state.open.get(id)
    if (this.#end.signal.aborted || transfer?.state !== 'running' || transfer.command === undefined) return
    const { command, model, node, sizeBytes } = transfer
    const under = this.#runs.get(id)
    if (under?.order.command === command) return
    this.#stop(id)
    const url = fleet.state.get(node)?.url
    if (url === undefined) return
    const expected = sizeBytes ?? catalog.state.get(model)?.sizeBytes ?? 0
    const run: Run = {
      order: { command, model, node, url },
      gauge: new Gauge(expected),
      stop: new AbortController(),
      movedMs: clock.monotonic(),
      cutMs: undefined,
    }
    this.#runs.set(id, run)
    void this.#pull(id, run)
  }

  #stop(id: string): void {
    const run = this.#runs.get(id)
    if (run === undefined) return
    this.#runs.delete(id)
    run.stop.abort()
    void this.#callOff(run.order)
  }

  /** An agent goes on by itself: one that is away is told when it is back. */
  async #callOff(order: Pick<PullOrder, 'command' | 'node'>): Promise<void> {
    const { clock, fleet, puller } = this.#needs
    const { signal } = this.#end
    const last = clock.monotonic() + STOPPED_MS
    while (!signal.aborted && clock.monotonic() < last) {
      const told = await puller.cancel(order)
      const url = fleet.state.get(order.node)?.url
      if (told || url === undefined || !agented(url)) return
      await sleep(clock, UNTOLD_MS, signal)
    }
  }

  async #pull(id: string, run: Run): Promise<void> {
    const { clock, look, puller } = this.#needs
    const { order, stop } = run
    for (let cuts = 0; !stop.signal.aborted; cuts += 1) {
      try {
        const transfer = this.#transfer(id, run)
        // Pulled before the house was killed, perhaps, or by somebody else.
        if (transfer === undefined) return
        if (this.#have(transfer)) return this.#complete(transfer)
        const ended = await puller.pull(order, {
          signal: stop.signal,
          step: step => {
            const bytes = run.gauge.tell(step, clock.monotonic(), clock.now())
            this.#bytes += bytes
            if (bytes === 0) return
            run.movedMs = clock.monotonic()
            run.cutMs = undefined
          },
        })
        if (ended === 'left') return
        await look(order.node)
        const now = this.#transfer(id, run)
        if (now === undefined) return
        if (this.#copy(now)) return this.#complete(now)
        const said = 'it says that it has pulled the model, but does not list it'
        throw new PullFailed('answer', said, { retryable: true })
      } catch (error) {
        if (!(error instanceof Failure)) throw error
        if (stop.signal.aborted) return
        if (!isRoad(error)) return this.#fail(id, run, error)
        void look(order.node) // so that the house knows soon
        run.cutMs ??= clock.monotonic()
        if (!(await this.#road(run, cuts))) {
          const words = `it was away for too long: ${error.message}`
          return this.#fail(id, run, new PullFailed('away', words, { retryable: true }))
        }
      }
    }
  }

  /**
   * Waits a little, then until the node answers; false where that takes too long, counted from the first cut after the last
   * byte: to verify hundreds of gigabytes takes minutes without one.
   */
  async #road({ cutMs = 0, order, stop }: Run, cuts: number): Promise<boolean> {
    const { clock, config, fleet } = this.#needs
    let pause = Math.min(ROAD_PAUSE_MS * 2 ** cuts, ROAD_PAUSE_MAX_MS)
    while (!stop.signal.aborted) {
      await sleep(clock, pause, stop.signal)
      if (clock.monotonic() - cutMs > config.healAfterMs) return false
      if (fleet.state.get(order.node)?.reach === 'up') return true
      pause = ROAD_PAUSE_MS
    }
    return true
  }

  /** A pull may not notice that its node is away: a line that was cut without a word says nothing. */
  #lost(node: string): void {
    const { clock, config, fleet } = this.#needs
    clock.after(config.healAfterMs, () => {
      if (fleet.state.get(node)?.reach !== 'down') return
      for (const [id, run] of this.#runs) {
        if (run.order.node !== node || clock.monotonic() - run.movedMs < config.healAfterMs) continue
        this.#fail(id, run, new PullFailed('away', 'it was away for too long', { retryable: true }))
      }
    })
  }

  #turnedUp(id: string): void {
    const transfer = this.#needs.transfers.state.open.get(id)
    // A pull under way sees to its end itself: it may have to tidy up after the manifest is written.
    if (transfer !== undefined && transfer.state !== 'running' && this.#have(transfer)) {
      this.#complete(transfer, 0)
      this.#line()
    }
  }

  /** This try, if it is still the one that counts. */
  #transfer(id: string, { order }: Run): OpenTransfer | undefined {
    const transfer = this.#needs.transfers.state.open.get(id)
    return transfer?.command === order.command ? transfer : undefined
  }

  #copy({ model, node }: OpenTransfer) {
    return this.#needs.residency.state.byNode.get(node)?.get(model)
  }

  /** Whether what was ordered is there; of a copy that is to be brought up to date, only the node can tell. */
  #have(transfer: OpenTransfer): boolean {
    const copy = this.#copy(transfer)
    if (transfer.renews) return false
    return copy !== undefined && (transfer.digest === undefined || transfer.digest === copy.digest)
  }

  #complete(transfer: OpenTransfer, ms = this.#needs.clock.now() - transfer.since): void {
    const { engine } = this.#needs
    const copy = this.#copy(transfer)
    const { command, id } = transfer
    this.#words.delete(id)
    const found = copy && { sizeBytes: copy.sizeBytes, digest: copy.digest }
    const data = { ...(command !== undefined && { command }), ms: Math.max(0, ms), ...found }
    engine.attempt('transfer', id, { type: 'transfer.complete', data, by: 'registry' })
  }

  #fail(id: string, { order: { command } }: Run, error: Failure): void {
    const { clock, engine } = this.#needs
    const { trouble, status } =
      error instanceof PullFailed ? error : { trouble: 'answer' as const, status: 0 }
    this.#words.delete(id)
    this.#words.set(id, error.message)
    if (this.#words.size > WORDS_MAX) this.#words.delete(this.#words.keys().next().value!)
    const data = {
      command,
      reason: trouble,
      ...(status > 0 && { status }),
      retryable: error.retryable,
      chance: clock.random(),
    }
    engine.attempt('transfer', id, { type: 'transfer.fail', data, by: 'registry' })
  }
}

function sleep(clock: Clock, ms: number, signal: AbortSignal): Promise<void> {
  return new Promise(resolve => {
    let timer: Timer | undefined
    const done = (): void => {
      timer?.cancel()
      signal.removeEventListener('abort', done)
      resolve()
    }
    timer = clock.after(ms, done)
    signal.addEventListener('abort', done, { once: true })
  })
}
