/**
 * A request whose answer is one node's, byte for byte, and which no schedule can help. While nothing has come from a
 * node, the next one may be asked instead.
 */
import type { Readable } from 'node:stream'
import type { Upstream } from '../call.ts'
import type { Clock, Timer } from '../clock.ts'
import { Failure } from '../failure.ts'
import type { FleetNode } from '../projections/fleet.ts'
import { Client } from './client.ts'
import { troubleOf } from './figures.ts'
import { dialectOf, lastWords, plainly, refuse } from './refusals.ts'
import { type Ending, headersForNode, relay } from './relay.ts'
import type { Visit } from './visit.ts'

export interface PassNeeds {
  readonly clock: Clock
  readonly upstream: (url: string) => Upstream
}

export interface PassOptions {
  /** Instead of the body that was read. */
  readonly body?: Readable
  /** When to go on to the next node. `untaken`: only where nobody can have begun to do what was asked. */
  readonly next: 'failed' | 'untaken'
  /** How long a node may take until the first byte; it is not limited unless this says so. */
  readonly patienceMs?: number
}

export interface Passed {
  /** Who was asked last; nobody, where there is nobody. */
  readonly node?: FleetNode
  /** What became of it: the node's status, 500 where its stream ends in an error, 499 where the client left. */
  readonly status: number
}

const UNWELL: ReadonlySet<number> = new Set([502, 503, 504])

/** To the first of these nodes; which of the others may follow, `next` says. */
export async function pass(
  needs: PassNeeds,
  visit: Visit,
  nodes: readonly FleetNode[],
  options: PassOptions,
): Promise<Passed> {
  const { res, target } = visit
  for (const [i, node] of nodes.entries()) {
    const more = i + 1 < nodes.length
    const ending = await once(needs, visit, node, options, more && options.next === 'failed')
    if (ending.as === 'declined') continue
    if (ending.as === 'unreached') {
      const untaken = ending.failure.code === 'ollama.refused'
      // What has been read of a stream cannot be read again.
      if (more && options.body === undefined && (untaken || options.next === 'failed')) continue
      options.body?.destroy()
      const message = `node ${node.name} could not be asked: ${plainly(ending.failure)}`
      const headers = { 'X-Quipu-Node': node.name }
      refuse(res, dialectOf(target), { status: 502, message, headers })
      return { node, status: 502 }
    }
    if (ending.as === 'left') return { node, status: 499 }
    if (ending.as === 'broken') return { node, status: 502 }
    return { node, status: troubleOf(target, ending) === undefined ? ending.status : 500 }
  }
  return { status: 503 }
}

async function once(
  { clock, upstream }: PassNeeds,
  { req, res, target, body }: Visit,
  node: FleetNode,
  options: PassOptions,
  declinable: boolean,
): Promise<Ending> {
  const headers = headersForNode(req.headers)
  const length = req.headers['content-length']
  if (options.body !== undefined && length !== undefined) headers['content-length'] = length
  let patience: Timer | undefined
  try {
    return await relay({
      sink: new Client(res, clock),
      upstream: upstream(node.url),
      out: {
        method: req.method!,
        path: target,
        headers,
        body: options.body ?? (body.length > 0 ? body : null),
      },
      headers: { 'X-Quipu-Node': node.name },
      decline: status => declinable && UNWELL.has(status),
      begun: () => patience?.cancel(),
      cut: cut => {
        if (options.patienceMs === undefined) return
        patience = clock.after(options.patienceMs, () =>
          cut(new Failure('ollama.timeout', `${node.name} was silent`, { retryable: true })),
        )
      },
      lastWords: (type, failure) =>
        lastWords(
          dialectOf(target),
          target,
          type,
          `node ${node.name} went away in the middle of its answer: ${plainly(failure)}`,
        ),
    })
  } finally {
    patience?.cancel()
  }
}
