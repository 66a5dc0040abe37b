/**
 * The agents that attached, and the idle streams they keep here: a call takes one, and the stream ends with it.
 *
 *   none ──hello──▶ up ──the last stream gone──▶ none        up ──hello of a later run──▶ up, of that run
 *
 * The newest stream is taken first, for a connection that died without a word has older ones. Where none is idle, a call
 * waits a little for the next: the agent opens one for each that is taken.
 */
import { Refusal } from '../../machines/entity.ts'
import type { Clock, Timer } from '../clock.ts'
import { Failure } from '../failure.ts'
import { failureIn } from '../rpc/errors.ts'
import type { Ears, Exchange, Served } from '../rpc/exchange.ts'
import type { AttachRequest, AttachResponse, Hello } from '../rpc/messages.ts'
import type { Caller } from '../rpc/server.ts'
import { away } from './link.ts'

type Stream = Served<AttachRequest, AttachResponse>

/** A stream with a call on it. */
export type Lent = Exchange<Answer, AttachResponse>
export type Answer = Exclude<AttachRequest, { hello: unknown } | { end: unknown }>

export interface AttachedNeeds {
  readonly clock: Clock
  /** Whose stream it is. Throws a Refusal where it may not attach. */
  readonly identify: (caller: Caller, hello: Hello) => Identity
  /** The agent of a node is here, or is another than before. Nothing is asked of it before this resolves. */
  readonly welcome: (node: string, hello: Hello) => Promise<void>
  readonly heard: (node: string, up: boolean) => void
  readonly onBug: (error: unknown) => void
}

export interface Identity {
  readonly node: string
  /** Of the certificate, where there is one. */
  readonly serial?: string
}

const HELLO_MS = 10_000
/** Of one node, idle or not. */
const STREAMS_MAX = 1_024
/** Calls that wait for a stream, of one node, and how long. */
const WAITING_MAX = 1_024
const WAIT_MS = 5_000

/** How often to look whether everything has ended. */
const LOOK_MS = 20

interface Agent {
  readonly session: string
  readonly startedAt: number
  readonly ready: Promise<void>
  /** The connection that a stream came over last. */
  connection: object | undefined
  readonly idle: Idle[]
  /** All of them, idle or not. */
  readonly streams: Set<Stream>
  readonly waiting: Set<Waiting>
  up: boolean
}

interface Line {
  readonly serial: string | undefined
  cut(why: Refusal): void
}

interface Waiting {
  readonly got: (idle: Idle) => void
  readonly failed: (failure: Failure) => void
}

interface Idle {
  readonly stream: Stream
  take(ears: Ears<Answer>): void
  /** Breaks it off, of which it hears nothing more itself: nothing of it may be kept. */
  cancel(): void
}

export class Attached {
  readonly #needs: AttachedNeeds
  readonly #agents = new Map<string, Agent>()
  /** Every stream of a node, those that an earlier run of its agent has calls on, too. */
  readonly #lines = new Map<string, Set<Line>>()
  #stopped = false

  constructor(needs: AttachedNeeds) {
    this.#needs = needs
  }

  has(node: string): boolean {
    return this.#agents.has(node)
  }

  nodes(): Iterable<string> {
    return this.#agents.keys()
  }

  /** For House.Attach. */
  attach(stream: Stream, caller: Caller): void {
    let over = false
    let taken: Ears<Answer> | undefined
    let agent: Agent | undefined
    let node = ''
    let line: Line | undefined
    const late = this.#needs.clock.after(HELLO_MS, () => {
      stream.refuse(new Refusal('agent.order', 'a stream begins with hello, and none came'))
    })
    const leave = (): void => {
      over = true
      late.cancel()
      if (line !== undefined) this.#forget(node, line)
      if (agent !== undefined) this.#leave(node, agent, stream)
    }
    const cut = (why: Refusal): void => {
      leave()
      if (taken === undefined) return stream.refuse(why)
      // Words would wait behind what is still to be sent.
      stream.cancel()
      taken.gone(new Failure('agent.broken', why.message, { retryable: true, cause: why }))
    }
    const idle: Idle = {
      stream,
      take(ears) {
        taken = ears
      },
      cancel() {
        leave()
        stream.cancel()
      },
    }
    const greet = async (hello: Hello): Promise<void> => {
      late.cancel()
      const identity = this.#needs.identify(caller, hello)
      node = identity.node
      agent = this.#enter(identity, hello, stream)
      line = { serial: identity.serial, cut }
      this.#lines.set(node, (this.#lines.get(node) ?? new Set()).add(line))
      await agent.ready
      if (!agent.streams.has(stream)) return
      if (this.#stopped) throw STOPPING
      if (this.#agents.get(node) !== agent) throw putOut(node)
      stream.accept()
      this.#settle(node, agent, idle)
    }
    stream.hear({
      message: message => {
        if (over) return
        if (taken !== undefined) {
          if ('hello' in message) return
          if (!('end' in message)) return taken.message(message)
          leave()
          stream.end()
          const failure = failureIn(message.end)
          if (failure === undefined) taken.end()
          else taken.gone(failure)
          return
        }
        if ('hello' in message && agent === undefined) {
          greet(message.hello).catch(error => {
            leave()
            stream.refuse(error)
            if (!(error instanceof Failure || error instanceof Refusal)) this.#needs.onBug(error)
          })
          return
        }
        // The agent lets go of a stream that is not needed; a call that is just beginning on it hears so.
        leave()
        stream.end()
      },
      room: () => taken?.room(),
      end() {
        if (over) return
        leave()
        stream.end()
        taken?.gone(ENDED)
      },
      gone(failure) {
        if (over) return
        leave()
        taken?.gone(failure)
      },
    })
  }

  /**
   * A stream for one call: `got` is called with it, at once where one is idle. Otherwise `failed`, before `got` or never.
   * Answers with how to give up waiting.
   */
  lend(node: string, got: (lent: Lent) => void, failed: (failure: Failure) => void): () => void {
    const agent = this.#agents.get(node)
    if (agent === undefined) {
      failed(away(node))
      return () => {}
    }
    const idle = agent.idle.pop()
    if (idle !== undefined) {
      got(lent(idle))
      return () => {}
    }
    if (agent.waiting.size >= WAITING_MAX) {
      failed(new Failure('agent.busy', `too many calls wait for the agent of ${node}`, { retryable: true }))
      return () => {}
    }
    const giveUp = (): void => {
      timer.cancel()
      agent.waiting.delete(wait)
    }
    const wait: Waiting = {
      got: next => {
        giveUp()
        got(lent(next))
      },
      failed: failure => {
        giveUp()
        failed(failure)
      },
    }
    const timer: Timer = this.#needs.clock.after(WAIT_MS, () =>
      wait.failed(new Failure('agent.away', `the agent of ${node} takes no more calls`, { retryable: true })),
    )
    agent.waiting.add(wait)
    return giveUp
  }

  /** Ends the lines of a node, with the calls on them: those that came with this certificate, or all. */
  expel(node: string, why: Refusal, serial?: string): void {
    for (const line of [...(this.#lines.get(node) ?? [])]) {
      if (serial === undefined || line.serial === serial) line.cut(why)
    }
  }

  /** Nobody may come any more, and who has nothing to do may go; calls go on. */
  stop(): void {
    this.#stopped = true
    for (const { idle } of this.#agents.values()) {
      for (const { stream } of idle.splice(0)) stream.refuse(STOPPING)
    }
  }

  /** Resolves when no call is under way any more, or after `graceMs`; then nobody is here. */
  async close(graceMs: number): Promise<void> {
    this.stop()
    const { clock } = this.#needs
    const late = clock.monotonic() + graceMs
    while (this.#agents.size > 0 && clock.monotonic() < late) {
      await new Promise<void>(resolve => clock.after(LOOK_MS, resolve))
    }
    for (const { streams } of this.#agents.values()) for (const stream of streams) stream.cancel()
    this.#agents.clear()
  }

  #enter({ node }: Identity, hello: Hello, stream: Stream): Agent {
    if (this.#stopped) throw STOPPING
    const present = this.#agents.get(node)
    const agent = present?.session === hello.session ? present : this.#succeed(node, hello, present)
    if (agent.streams.size >= STREAMS_MAX) {
      throw new Failure('agent.busy', `${STREAMS_MAX} streams are enough`, { retryable: true })
    }
    agent.streams.add(stream)
    if (agent.connection !== stream.connection) {
      agent.connection = stream.connection
      for (const old of [...agent.idle]) old.cancel()
    }
    return agent
  }

  /** Of two runs of an agent the one that began later is right: the other is a ghost, or about to end. */
  #succeed(node: string, hello: Hello, present: Agent | undefined): Agent {
    const { session, startedAt } = hello
    if (present !== undefined) {
      const later = startedAt - present.startedAt || (session > present.session ? 1 : -1)
      if (later < 0) throw new Refusal('agent.superseded', `another agent of ${node} runs, and began later`)
      for (const { stream } of present.idle.splice(0)) {
        present.streams.delete(stream)
        stream.refuse(putOut(node))
      }
    }
    const agent: Agent = {
      session,
      startedAt,
      ready: this.#needs.welcome(node, hello),
      connection: undefined,
      idle: [],
      streams: new Set(),
      waiting: present?.waiting ?? new Set(),
      up: false,
    }
    this.#agents.set(node, agent)
    return agent
  }

  #settle(node: string, agent: Agent, idle: Idle): void {
    const [first] = agent.waiting
    if (first !== undefined) first.got(idle)
    else agent.idle.push(idle)
    if (agent.up) return
    agent.up = true
    this.#needs.heard(node, true)
  }

  #leave(node: string, agent: Agent, stream: Stream): void {
    if (!agent.streams.delete(stream)) return
    const at = agent.idle.findIndex(idle => idle.stream === stream)
    if (at !== -1) agent.idle.splice(at, 1)
    if (agent.streams.size > 0 || this.#agents.get(node) !== agent) return
    this.#agents.delete(node)
    for (const { failed } of [...agent.waiting]) failed(away(node))
    if (agent.up) this.#needs.heard(node, false)
  }

  #forget(node: string, line: Line): void {
    const lines = this.#lines.get(node)
    lines?.delete(line)
    if (lines?.size === 0) this.#lines.delete(node)
  }
}

function lent({ stream, take, cancel }: Idle): Lent {
  return {
    put: message => stream.put(message),
    // The stream's end is the call's; what ends on this side says so in its messages.
    end() {},
    refuse: cancel,
    cancel,
    pause: stream.pause,
    resume: stream.resume,
    hear: take,
  }
}

const STOPPING = new Failure('house.stopped', 'the house is stopping; come back', { retryable: true })
const ENDED = new Failure('agent.broken', 'the agent ended the line', { retryable: true })

function putOut(node: string): Refusal {
  return new Refusal('agent.superseded', `another agent of ${node} began`)
}
