/**
 * Dials the house, and keeps a few streams open there on which it may begin calls: so a node behind NAT, which nobody can
 * dial, has an agent all the same.
 *
 *   away ──dialled──▶ attached ──the last idle stream gone──▶ away         away ──closed──▶ closed
 *     └── another try, later and later, at a random moment ◀────┘
 *
 * A line is one connection and its streams. When it is let go of, the calls on it end first; the next line does not wait
 * for that.
 */
import type { Clock, Timer } from '../clock.ts'
import { Failure } from '../failure.ts'
import { Channel } from '../rpc/channel.ts'
import { type Dialling, remedyOf } from '../rpc/credentials.ts'
import { houseService } from '../rpc/definitions.ts'
import { CALLS_MAX, PROBE, type Probe } from '../rpc/limits.ts'
import type { AttachRequest, AttachResponse, Hello } from '../rpc/messages.ts'
import { type ServeNeeds, serve } from './session.ts'

export interface AttachNeeds extends ServeNeeds {
  readonly clock: Clock
  /** HOST:PORT of the house. */
  readonly house: string
  /** Asked for each connection: certificates change. */
  readonly dialling: () => Dialling
  readonly hello: Hello
  /** The line came up, or it went down, and why; or it stays down for another reason that somebody can do something about. */
  readonly heard?: (up: boolean, why?: Failure) => void
  readonly probe?: Probe
  /** Idle streams, at least. */
  readonly idleMin?: number
}

const CONNECT_MS = 10_000
const IDLE_MIN = 4
/** Streams at once, those with calls included. */
const STREAMS_MAX = CALLS_MAX / 2
const RETRY_MS = 250
/** A house gives those it knows twice that to come back; see src/fleet/returning.ts. */
const RETRY_MAX_MS = 5_000
/** A line that stood so long was a good one: the next try begins anew. */
const STOOD_MS = 5_000
/** How often to look whether everything has ended. */
const LOOK_MS = 20

export class Attachment {
  readonly #needs: AttachNeeds
  #line: Line | undefined
  readonly #lines = new Set<Line>()
  #retry: Timer | undefined
  #tries = 0
  /** What could be done about the line that did not come up last. */
  #told: string | undefined
  #closed = false

  constructor(needs: AttachNeeds) {
    this.#needs = needs
  }

  start(): void {
    this.#dial()
  }

  /** A new line, beside the old one until that is up, and the calls on the old one have ended. */
  redial(): void {
    this.#retry?.cancel()
    const old = this.#line
    this.#line = undefined
    const next = this.#dial()
    if (next !== undefined) old?.giveWay(next)
  }

  /** The channel to the house that is up now, for calls of another kind. */
  get channel(): Channel | undefined {
    return this.#line?.channel
  }

  /** Takes nothing new; resolves when what runs has ended, or after `graceMs`. */
  async close(graceMs: number): Promise<void> {
    this.#closed = true
    this.#retry?.cancel()
    const { clock } = this.#needs
    for (const line of this.#lines) line.letGo()
    const late = clock.monotonic() + graceMs
    while (this.#lines.size > 0 && clock.monotonic() < late) {
      await new Promise<void>(resolve => clock.after(LOOK_MS, resolve))
    }
    for (const line of this.#lines) line.channel.close()
    this.#lines.clear()
  }

  #dial(): Line | undefined {
    if (this.#closed) return undefined
    const { clock, heard } = this.#needs
    const began = clock.monotonic()
    let up = false
    const line = new Line(this.#needs, {
      up: () => {
        if (up || this.#line !== line) return
        up = true
        this.#told = undefined
        heard?.(true)
      },
      down: why => {
        if (this.#line !== line) return
        this.#line = undefined
        line.letGo()
        const remedy = why.code.startsWith('agent.') ? why.code : remedyOf(why.message)
        if (up || this.#tries === 0 || (remedy !== undefined && remedy !== this.#told)) heard?.(false, why)
        this.#told = remedy ?? this.#told
        if (up && clock.monotonic() - began >= STOOD_MS) this.#tries = 0
        this.#again()
      },
      over: () => void this.#lines.delete(line),
    })
    this.#line = line
    this.#lines.add(line)
    void line.open()
    return line
  }

  /** Full jitter: many agents of a house that was away do not come back at the same moment. */
  #again(): void {
    if (this.#closed) return
    const { clock } = this.#needs
    const most = Math.min(RETRY_MAX_MS, RETRY_MS * 2 ** this.#tries)
    this.#tries += 1
    this.#retry = clock.after(clock.random() * most, () => this.#dial())
  }
}

interface LineTurns {
  readonly up: () => void
  readonly down: (why: Failure) => void
  readonly over: () => void
}

class Line {
  readonly channel: Channel
  readonly #needs: AttachNeeds
  readonly #turns: LineTurns
  readonly #idle = new Set<() => void>()
  #busy = 0
  #givesWay = false
  #letGo = false
  /** It is up, or will not be. */
  readonly #settled = Promise.withResolvers<void>()

  constructor(needs: AttachNeeds, turns: LineTurns) {
    this.#needs = needs
    this.#turns = turns
    const { clock, house: address, dialling, probe = PROBE } = needs
    this.channel = new Channel({ clock, address, dialling: dialling(), probe })
  }

  async open(): Promise<void> {
    try {
      await this.channel.ready(CONNECT_MS)
      this.#topUp()
    } catch (error) {
      if (!(error instanceof Failure)) throw error
      this.#turns.down(error)
      this.#done()
    }
  }

  /** Calls come on what is idle here until the next line is up, or will not be. */
  giveWay(next: Line): void {
    // A house takes the line for the present one that opened a stream last.
    this.#givesWay = true
    void next.#settled.promise.then(() => this.letGo())
  }

  /** Idle streams end now, the others with their calls; then the connection. */
  letGo(): void {
    if (this.#letGo) return
    this.#letGo = true
    this.#settled.resolve()
    for (const end of [...this.#idle]) end()
    this.#done()
  }

  /** As many idle ones as there are calls: a burst finds room for twice as many, a round trip later for four times. */
  #topUp(): void {
    const { idleMin = IDLE_MIN } = this.#needs
    while (!this.#letGo && !this.#givesWay && this.#idle.size < Math.max(idleMin, this.#busy)) {
      if (this.#idle.size + this.#busy >= STREAMS_MAX) return
      this.#open()
    }
  }

  #open(): void {
    const stream = this.channel.exchange<AttachResponse, AttachRequest>(houseService, 'Attach')
    stream.put({ hello: this.#needs.hello })
    let busy = false
    const end = serve(stream, this.#needs, {
      accepted: () => {
        this.#settled.resolve()
        this.#turns.up()
      },
      taken: () => {
        busy = true
        this.#idle.delete(end)
        this.#busy += 1
        this.#topUp()
      },
      over: failure => {
        if (busy) this.#busy -= 1
        else this.#idle.delete(end)
        if (this.#letGo) return this.#done()
        if (failure?.code === 'rpc.broken') return this.#turns.down(failure)
        // One that ends unused was not wanted: opening another at once would only ask the same again.
        if (busy) this.#topUp()
        if (this.#idle.size === 0) this.#turns.down(failure ?? GONE)
      },
    })
    this.#idle.add(end)
  }

  #done(): void {
    if (!this.#letGo || this.#busy > 0 || this.#idle.size > 0) return
    this.channel.close()
    this.#turns.over()
  }
}

const GONE = new Failure('rpc.broken', 'the house ended the line', { retryable: true })
