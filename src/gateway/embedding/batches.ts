/**
 * Embedding requests that may share one call to a node. Each waits in the queue as a request of its own; when one gets
 * a slot, those that wait for the same in other words ride along, and each hears its own part of the answer.
 *
 * What may share a call is decided so that no answer says what nobody knows: Ollama counts the tokens of a call, not of
 * its inputs (docs/adr/0018).
 */
import type { Upstream } from '../../call.ts'
import { levelOf } from '../../projections/queue.ts'
import type { RequestsProjection } from '../../projections/requests.ts'
import { digestOf, type EmbeddingAsk, type EmbeddingPath, readAsk, type Sent } from './ask.ts'
import { type Counting, SharedCall } from './shared.ts'

export type Batching = 'off' | 'exact' | 'on' | 'shares'

export interface BatchesNeeds {
  readonly requests: RequestsProjection
  readonly config: {
    readonly batch: Batching
    /** Requests in one call, and inputs in it. */
    readonly batchMax: number
    /** Of the inputs in one call. */
    readonly batchMaxBytes: number
  }
}

interface Candidate {
  readonly ask: EmbeddingAsk
  /** What is equal for those who may share a call. */
  readonly line: string
}

/** Which paths put different inputs into one call; equal requests share their answer on any of them. */
const RULES: Readonly<
  Record<Batching, { readonly merging: ReadonlySet<EmbeddingPath>; readonly counting: Counting }>
> = {
  off: { merging: new Set(), counting: 'unsaid' },
  exact: { merging: new Set(), counting: 'unsaid' },
  on: { merging: new Set(['/api/embed']), counting: 'unsaid' },
  shares: { merging: new Set(['/api/embed', '/v1/embeddings']), counting: 'shares' },
}

/** So many are looked at for each place in a call: some of a line may have more to say than there is room for. */
const LOOKS = 8

export class Batches {
  readonly #needs: BatchesNeeds
  /**
   * Who has not been sent yet. What is tried again goes alone: the call it shared may have failed by another's fault, or
   * the others' by its own.
   */
  readonly #candidates = new Map<string, Candidate>()
  /** Those who may share a call, in the order they came. */
  readonly #lines = new Map<string, Set<string>>()
  /** By the id of the request that leads them: calls that wait for the last of their passengers. */
  readonly #boarding = new Map<string, SharedCall>()

  constructor(needs: BatchesNeeds) {
    this.#needs = needs
  }

  /** Before the request is admitted: from here to leave() it may ride along, or take others along. */
  join(id: string, sent: Sent): void {
    const { batch, batchMax, batchMaxBytes } = this.#needs.config
    if (batch === 'off') return
    const ask = readAsk(sent, batchMaxBytes)
    if (ask === undefined || ask.inputs.length > batchMax) return
    const merges = RULES[batch].merging.has(ask.path)
    const line = `${ask.path} ${ask.frame}${merges ? '' : ` ${digestOf(ask)}`}`
    this.#candidates.set(id, { ask, line })
    const others = this.#lines.get(line)
    if (others === undefined) this.#lines.set(line, new Set([id]))
    else others.add(id)
  }

  leave(id: string): void {
    this.#forget(id)
    for (const call of this.#boarding.values()) call.miss(id)
  }

  /**
   * Who of the waiting may ride along with this one when it is sent now; oldest first. Of its own class and priority only:
   * what is urgent does not wait for the vectors of what is not. Changes nothing.
   */
  riders(head: string): readonly string[] {
    const { requests, config } = this.#needs
    const { batchMax, batchMaxBytes } = config
    const { ask, line } = this.#candidates.get(head) ?? {}
    const leader = requests.state.open.get(head)
    if (ask === undefined || line === undefined || leader === undefined) return []
    const found: string[] = []
    const inputs = new Set(ask.inputs)
    let bytes = ask.bytes
    let looks = batchMax * LOOKS
    for (const id of this.#lines.get(line)!) {
      if (found.length + 1 >= batchMax || looks === 0) break
      looks -= 1
      const open = requests.state.open.get(id)
      if (id === head || open?.state !== 'queued' || levelOf(open) !== levelOf(leader)) continue
      const more = new Set(this.#candidates.get(id)!.ask.inputs.filter(text => !inputs.has(text)))
      const moreBytes = [...more].reduce((sum, text) => sum + Buffer.byteLength(text), 0)
      if (inputs.size + more.size > batchMax || bytes + moreBytes > batchMaxBytes) continue
      for (const text of more) inputs.add(text)
      bytes += moreBytes
      found.push(id)
    }
    return found
  }

  /** The way to a node for a request that runs now, in this batch or in none. */
  upstream(id: string, batch: string | undefined, node: Upstream): Upstream {
    const ask = this.#candidates.get(id)?.ask
    this.#forget(id)
    const ride = this.#needs.requests.state.open.get(id)?.ride
    if (batch === undefined || ask === undefined || ride === undefined) return node
    const call = this.#boarding.get(batch) ?? this.#call(batch, node, [id, ...ride.open])
    return { url: node.url, send: (out, receiver) => call.board(id, ask, out, receiver) }
  }

  /** It waits for those of the party who are still here. */
  #call(batch: string, node: Upstream, [first, ...others]: readonly [string, ...string[]]): SharedCall {
    const { counting } = RULES[this.#needs.config.batch]
    const party = [first, ...others.filter(id => this.#candidates.has(id))]
    const call = new SharedCall(node, party, counting, () => this.#boarding.delete(batch))
    this.#boarding.set(batch, call)
    return call
  }

  #forget(id: string): void {
    const line = this.#candidates.get(id)?.line
    if (line === undefined) return
    this.#candidates.delete(id)
    const others = this.#lines.get(line)!
    others.delete(id)
    if (others.size === 0) this.#lines.delete(line)
  }
}
