/** One question to several nodes, and their whole answers: for verbs that concern every node with a model. */
import type { ServerResponse } from 'node:http'
import type { Outgoing } from '../call.ts'
import { Failure } from '../failure.ts'
import type { FleetNode } from '../projections/fleet.ts'
import { answer, goJson } from './answer.ts'
import type { PassNeeds } from './pass.ts'
import { plainly } from './refusals.ts'

export interface Reply {
  readonly node: FleetNode
  readonly status: number
  readonly contentType: string
  readonly body: Buffer
}

/** Long enough to delete the largest model from a slow disk. */
const REPLY_MAX_MS = 60_000
const REPLY_BYTES_MAX = 64 * 1024
const NATIVE = 'application/json; charset=utf-8'

export function askAll(needs: PassNeeds, nodes: readonly FleetNode[], out: Outgoing): Promise<Reply[]> {
  return Promise.all(nodes.map(node => ask(needs, node, out)))
}

/** Answers with the words of one of them, and the names of all. */
export function answerAs(res: ServerResponse, reply: Reply, asked: readonly FleetNode[]): void {
  const headers = {
    ...(reply.contentType !== '' && { 'Content-Type': reply.contentType }),
    'X-Quipu-Node': asked.map(({ name }) => name).join(','),
  }
  answer(res, reply.status, headers, reply.body.toString())
}

/** What a node said is wrong, in short. */
export function complaint({ status, body }: Reply): string {
  try {
    const { error } = JSON.parse(body.toString())
    if (typeof error === 'string') return error
  } catch {
    // Not Ollama's shape.
  }
  return `it answered ${status}`
}

function ask({ clock, upstream }: PassNeeds, node: FleetNode, out: Outgoing): Promise<Reply> {
  return new Promise(resolve => {
    const chunks: Buffer[] = []
    let status = 0
    let size = 0
    let contentType = ''
    const fail = (failure: Failure): void => {
      timer.cancel()
      const message = `node ${node.name} could not be asked: ${plainly(failure)}`
      resolve({ node, status: 502, contentType: NATIVE, body: Buffer.from(goJson({ error: message })) })
    }
    const call = upstream(node.url).send(out, {
      start(code, raw) {
        status = code
        const at = raw.findIndex((name, i) => i % 2 === 0 && /^content-type$/i.test(name))
        contentType = at < 0 ? '' : raw[at + 1]!
      },
      data(chunk) {
        size += chunk.length
        if (size <= REPLY_BYTES_MAX) chunks.push(chunk)
      },
      end() {
        timer.cancel()
        resolve({ node, status, contentType, body: Buffer.concat(chunks) })
      },
      fail,
    })
    const timer = clock.after(REPLY_MAX_MS, () => {
      call.abort()
      fail(new Failure('ollama.timeout', `${node.name} was silent`))
    })
  })
}
