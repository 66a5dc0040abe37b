/**
 * One call to a node for several requests. Each comes aboard with what it would have sent by itself and with its own
 * receiver, and hears the answer as if it had been alone:
 *
 *   boarding ──all are here, or will not come──▶ out ──200──▶ split: to each its own part
 *                                                     ├─404, 501, 503, or no connection──▶ to each the same
 *                                                     └─anything else──▶ one call for each, one after another
 *
 * Those who ask for the very same share the bytes of the answer, whatever it is. Who leaves is left out; the call is
 * called off when nobody is aboard any more.
 */
import type { Call, Outgoing, Receiver, Upstream } from '../../call.ts'
import { Failure } from '../../failure.ts'
import type { EmbeddingAsk } from './ask.ts'
import { type Merged, merge, shares } from './merge.ts'
import { type MergingPath, type Parts, putTogether, takeApart } from './split.ts'

/** What is told of tokens where the node counted several requests together: nothing, or each one's share. */
export type Counting = 'unsaid' | 'shares'

interface Passenger {
  readonly ask: EmbeddingAsk
  readonly out: Outgoing
  readonly receiver: Receiver
  /** Its own call, when it goes by itself. */
  own?: Call
  left: boolean
  /** Called when it leaves its own call. */
  released?: () => void
}

interface Heard {
  readonly status: number
  /** As the node wrote them: name, value, name, value … */
  readonly headers: readonly string[]
  readonly body: Buffer
}

/** Vectors of a batch take a few MiB. More than this is not an answer to what was asked. */
const ANSWER_BYTES_MAX = 64 * 1024 * 1024

/** What a node says of its model or itself, whatever the inputs are. */
const ABOUT_NO_INPUT: ReadonlySet<number> = new Set([404, 501, 503])
/** What one input may do to a node that the others then need not suffer from. */
const PERHAPS_AN_INPUT: ReadonlySet<string> = new Set(['ollama.broken', 'ollama.answer'])

/** Go's rule: the length of an answer is told up to here, longer ones go in chunks. */
const LENGTH_TOLD_BYTES = 2_048

export class SharedCall {
  readonly #node: Upstream
  readonly #counting: Counting
  readonly #departed: () => void
  readonly #expected: Set<string>
  readonly #aboard = new Map<string, Passenger>()
  #call: Call | undefined

  /** `expected`: the ids of all who were assigned together. `departed` is called once nobody is waited for any more. */
  constructor(node: Upstream, expected: Iterable<string>, counting: Counting, departed: () => void) {
    this.#node = node
    this.#expected = new Set(expected)
    this.#counting = counting
    this.#departed = departed
  }

  board(id: string, ask: EmbeddingAsk, out: Outgoing, receiver: Receiver): Call {
    const passenger: Passenger = { ask, out, receiver, left: false }
    this.#aboard.set(id, passenger)
    this.miss(id)
    return {
      pause: () => passenger.own?.pause(),
      resume: () => passenger.own?.resume(),
      abort: () => this.#leave(passenger),
    }
  }

  /** It is aboard, or will not come. */
  miss(id: string): void {
    if (this.#expected.delete(id) && this.#expected.size === 0) this.#depart()
  }

  #leave(passenger: Passenger): void {
    passenger.left = true
    passenger.own?.abort()
    passenger.released?.()
    if (this.#staying().length === 0) this.#call?.abort()
  }

  #staying(): readonly Passenger[] {
    return [...this.#aboard.values()].filter(({ left }) => !left)
  }

  #depart(): void {
    this.#departed()
    const party = this.#staying()
    const [first] = party
    if (first === undefined) return
    if (party.length === 1) {
      first.own = this.#node.send(first.out, first.receiver)
    } else if (areTwins(party)) {
      const heard = (heard: Heard): void => this.#tellAll(heard)
      this.#send(first.out, heard, failure => this.#failAll(failure))
    } else {
      const merged = merge(party.map(({ ask }) => ask))
      const heard = (heard: Heard): void => this.#tellEach(party, merged, heard)
      this.#send({ ...first.out, body: merged.body }, heard, failure => {
        if (PERHAPS_AN_INPUT.has(failure.code)) void this.#each()
        else this.#failAll(failure)
      })
    }
  }

  #send(out: Outgoing, heard: (heard: Heard) => void, fail: (failure: Failure) => void): void {
    let status = 0
    let headers: readonly string[] = []
    const chunks: Buffer[] = []
    let bytes = 0
    this.#call = this.#node.send(out, {
      start(code, raw) {
        status = code
        headers = raw
      },
      data: chunk => {
        bytes += chunk.length
        chunks.push(chunk)
        if (bytes <= ANSWER_BYTES_MAX) return
        this.#call?.abort()
        fail(new Failure('ollama.answer', 'far more than was asked for', { retryable: true }))
      },
      end: () => heard({ status, headers, body: Buffer.concat(chunks) }),
      fail,
    })
  }

  #failAll(failure: Failure): void {
    for (const { receiver } of this.#staying()) receiver.fail(failure)
  }

  #tellAll(heard: Heard): void {
    for (const passenger of this.#staying()) tell(passenger, heard)
  }

  #tellEach(party: readonly Passenger[], merged: Merged, heard: Heard): void {
    if (ABOUT_NO_INPUT.has(heard.status)) return this.#tellAll(heard)
    const path = party[0]!.ask.path as MergingPath
    const parts = heard.status === 200 ? takeApart(path, heard.body.toString('latin1')) : undefined
    if (parts?.vectors.length !== merged.inputs.length) return void this.#each()
    const headers = withoutLength(heard.headers)
    const tokens = this.#counting === 'shares' ? shares(parts.tokens, merged.inputs) : undefined
    for (const [i, passenger] of party.entries()) {
      const text = putTogether(path, partOf(parts, merged.places[i]!, tokens))
      const body = Buffer.from(text, 'latin1')
      const length = body.length > LENGTH_TOLD_BYTES ? [] : ['Content-Length', String(body.length)]
      tell(passenger, { status: heard.status, headers: [...headers, ...length], body })
    }
  }

  /** The slot is theirs until the last one is done, so they take it in turns. */
  async #each(): Promise<void> {
    for (const passenger of this.#staying()) {
      if (passenger.left) continue
      await new Promise<void>(resolve => {
        const { out, receiver } = passenger
        passenger.released = resolve
        passenger.own = this.#node.send(out, {
          start: (status, headers) => receiver.start(status, headers),
          data: chunk => receiver.data(chunk),
          end() {
            receiver.end()
            resolve()
          },
          fail(failure) {
            receiver.fail(failure)
            resolve()
          },
        })
      })
    }
  }
}

function areTwins(party: readonly Passenger[]): boolean {
  const [first, ...others] = party.map(({ ask }) => ask)
  return others.every(
    ({ inputs }) =>
      inputs.length === first!.inputs.length && inputs.every((text, i) => text === first!.inputs[i]),
  )
}

/** Each step may make it leave. */
function tell(passenger: Passenger, { status, headers, body }: Heard): void {
  const { receiver } = passenger
  if (!passenger.left) receiver.start(status, headers)
  if (!passenger.left && body.length > 0) receiver.data(body)
  if (!passenger.left) receiver.end()
}

function partOf(
  { model, vectors, durations }: Parts,
  places: readonly number[],
  tokens: readonly number[] | undefined,
): Parameters<typeof putTogether>[1] {
  return {
    model,
    durations,
    vectors: places.map(place => vectors[place]!),
    ...(tokens !== undefined && { tokens: places.reduce((sum, place) => sum + tokens[place]!, 0) }),
  }
}

function withoutLength(headers: readonly string[]): string[] {
  return headers.filter((_, i) => {
    const name = headers[i - (i % 2)]!.toLowerCase()
    return name !== 'content-length' && name !== 'transfer-encoding'
  })
}
