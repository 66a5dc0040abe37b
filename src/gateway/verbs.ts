/**
 * The verbs that change models. Pull goes to the nodes the request names or to one that is chosen; delete and copy to
 * every node that has the model; push, create and uploads to one. Each leaves a fact: who did what to which model where.
 */
import type { ServerResponse } from 'node:http'
import { StringDecoder } from 'node:string_decoder'
import type { Verb } from '../../machines/model.ts'
import { canonicalName } from '../../machines/name.ts'
import type { Outgoing } from '../call.ts'
import type { Engine } from '../engine/engine.ts'
import type { Failure } from '../failure.ts'
import type { Line } from '../ollama/progress.ts'
import type { FleetNode } from '../projections/fleet.ts'
import { goJson, tell } from './answer.ts'
import type { Bodies } from './body.ts'
import type { Nodes } from './nodes.ts'
import { type PassNeeds, pass } from './pass.ts'
import { peekJson } from './peek.ts'
import { Progress } from './progress.ts'
import { dialectOf, plainly, refuse } from './refusals.ts'
import { headersForNode } from './relay.ts'
import { answerAs, askAll, complaint } from './several.ts'
import type { Visit } from './visit.ts'

export interface VerbsNeeds extends PassNeeds {
  readonly engine: Engine
  readonly nodes: Nodes
  readonly hasBlob: (url: string, digest: string, signal: AbortSignal) => Promise<boolean>
}

const BLOB_LOOK_MAX_MS = 5_000
/** A line of progress is some hundred bytes. */
const LINE_LENGTH_MAX = 64 * 1024
const DIGEST = /^sha256[:-][0-9a-fA-F]{64}$/

const DEEDS = {
  pull: 'model.pull',
  create: 'model.create',
  push: 'model.push',
  delete: 'model.delete',
} as const

/** What a verb came to. */
interface Outcome {
  readonly model: string | undefined
  readonly done: readonly FleetNode[]
  readonly failed: readonly FleetNode[]
  /** Of what failed. */
  readonly status: number
  readonly to?: string | undefined
}

export class Verbs {
  readonly #needs: VerbsNeeds

  constructor(needs: VerbsNeeds) {
    this.#needs = needs
  }

  async pull(visit: Visit): Promise<void> {
    const { model, name, stream, insecure } = await peekJson(visit.body)
    const named = this.#named(visit, { many: true })
    if (named === 'refused') return
    const asked = model ?? name
    if (named.length < 2 || asked === undefined) {
      return this.#onOne('pull', visit, asked, named.length > 0 ? named.slice(0, 1) : this.#pullers(asked))
    }
    await this.#pullOnMany(visit, asked, named, {
      body: { model: asked, ...(insecure !== undefined && { insecure }), stream: true },
      stream: stream ?? true,
    })
  }

  async push(visit: Visit): Promise<void> {
    const { model, name } = await peekJson(visit.body)
    const named = this.#named(visit)
    if (named === 'refused') return
    const asked = model ?? name
    await this.#onOne('push', visit, asked, named.length > 0 ? named : await this.#holder(asked))
  }

  async create(visit: Visit): Promise<void> {
    const { model, name, from, digests } = await peekJson(visit.body)
    const named = this.#named(visit)
    if (named === 'refused') return
    const nodes = named.length > 0 ? named : await this.#builder(visit, digests, from)
    await this.#onOne('create', visit, model ?? name, nodes)
  }

  async delete(visit: Visit): Promise<void> {
    const { model, name } = await peekJson(visit.body)
    await this.#everywhere('delete', visit, model ?? name)
  }

  async copy(visit: Visit): Promise<void> {
    const { source, destination } = await peekJson(visit.body)
    await this.#everywhere('copy', visit, source, canonicalName(destination ?? ''))
  }

  /** An upload goes where its create will go, and so does the question whether it is needed. */
  async blob(visit: Visit, bodies: Bodies): Promise<void> {
    const { req, res, param } = visit
    if (!DIGEST.test(param)) return refuse(res, 'ollama', { status: 400, message: 'invalid digest format' })
    const named = this.#named(visit)
    if (named === 'refused') return
    const node = named[0] ?? this.#needs.nodes.home(visit.by)
    if (node === undefined) return this.nobody(res, visit.target)
    const body = req.method === 'POST' ? { body: bodies.stream(req) } : {}
    await pass(this.#needs, visit, [node], { next: 'untaken', ...body })
  }

  /** No node to send it to. */
  nobody(res: ServerResponse, target: string): void {
    const message =
      this.#needs.nodes.size === 0
        ? 'no node is registered; add one with: quipu nodes add http://HOST:11434'
        : 'no node is up; see: quipu nodes ls'
    refuse(res, dialectOf(target), { status: 503, message, headers: { 'Retry-After': '5' } })
  }

  // ── where to ─────────────────────────────────────────────────────────────────────────────────────────────────

  /** What X-Quipu-Nodes says; none when it is not there. */
  #named({ req, res, target }: Visit, { many = false } = {}): readonly FleetNode[] | 'refused' {
    const named = this.#needs.nodes.named(req.headers['x-quipu-nodes'])
    if (named === undefined) return []
    const message =
      'refused' in named
        ? named.refused
        : named.nodes.length > 1 && !many
          ? 'X-Quipu-Nodes: this goes to one node; name one'
          : undefined
    if (message === undefined) return (named as { nodes: readonly FleetNode[] }).nodes
    refuse(res, dialectOf(target), { status: 400, message })
    return 'refused'
  }

  /** The node that has it already, for what is new about it; else that with the most room; else any. */
  #pullers(model: string | undefined): readonly FleetNode[] {
    const { nodes } = this.#needs
    const holders = nodes.holders(canonicalName(model ?? '') ?? '')
    return [...nodes.emptiest].sort((a, b) => Number(holders.includes(b)) - Number(holders.includes(a)))
  }

  async #holder(model: string | undefined): Promise<readonly FleetNode[]> {
    const { nodes } = this.#needs
    const id = canonicalName(model ?? '')
    if (id !== undefined) await nodes.seek(id)
    return nodes.answerers(id).slice(0, 1)
  }

  /** A node that has all the uploads, and the model it is made from if any such has that; else the client's home. */
  async #builder(
    { by }: Visit,
    digests: readonly string[],
    from: string | undefined,
  ): Promise<readonly FleetNode[]> {
    const { nodes, hasBlob } = this.#needs
    const home = nodes.home(by)
    const base = canonicalName(from ?? '')
    if (base !== undefined) await nodes.seek(base)
    const based = base === undefined ? [] : nodes.holders(base)
    const rank = (node: FleetNode): number => Number(based.includes(node)) * 2 + Number(node === home)
    const candidates = [...nodes.usable].sort((a, b) => rank(b) - rank(a))
    const known = digests.filter(digest => DIGEST.test(digest))
    if (known.length === 0) return candidates.slice(0, 1)
    const signal = AbortSignal.timeout(BLOB_LOOK_MAX_MS)
    const complete = await Promise.all(
      candidates.map(async ({ url }) => {
        const has = known.map(digest => hasBlob(url, digest, signal).catch(() => false))
        return (await Promise.all(has)).every(Boolean)
      }),
    )
    return [candidates.find((_node, i) => complete[i]) ?? home].filter(node => node !== undefined)
  }

  // ── how ──────────────────────────────────────────────────────────────────────────────────────────────────────

  /** On the first of them that takes the request. */
  async #onOne(
    verb: Verb,
    visit: Visit,
    model: string | undefined,
    nodes: readonly FleetNode[],
  ): Promise<void> {
    const { node, status } = await pass(this.#needs, visit, nodes, { next: 'untaken' })
    if (node === undefined) return this.nobody(visit.res, visit.target)
    this.#needs.nodes.touch(node.name)
    const [done, failed] = status < 400 ? [[node], []] : [[], [node]]
    this.#record(verb, visit, { model, done, failed, status })
    await this.#needs.nodes.look([node])
  }

  /** Where the model is; where it is nowhere, any node's own words are the answer. */
  async #everywhere(
    verb: 'copy' | 'delete',
    visit: Visit,
    model: string | undefined,
    to?: string,
  ): Promise<void> {
    const { nodes } = this.#needs
    const { req, res, target, body } = visit
    const named = this.#named(visit, { many: true })
    if (named === 'refused') return
    const id = canonicalName(model ?? '')
    if (id !== undefined) await nodes.seek(id)
    const within = (node: FleetNode): boolean => named.length === 0 || named.includes(node)
    const holders = id === undefined ? [] : nodes.holders(id).filter(within)
    const up = holders.filter(({ reach }) => reach === 'up')
    const away = holders.filter(({ reach }) => reach !== 'up')
    const asked = holders.length > 0 ? up : (named.length > 0 ? named : nodes.usable).slice(0, 1)
    if (asked.length + away.length === 0) return this.nobody(res, target)

    const out: Outgoing = { method: req.method!, path: target, headers: headersForNode(req.headers), body }
    const replies = await askAll(this.#needs, asked, out)
    const done = replies.filter(({ status }) => status < 400)
    // Who turns out not to have it any more has nothing to do, unless nobody has.
    const failed = replies.filter(({ status }) => status >= 400 && (status !== 404 || done.length === 0))
    nodes.touch(...asked.map(({ name }) => name))
    const status = failed[0]?.status ?? 503
    const missed = [...failed.map(({ node }) => node), ...away]
    this.#record(verb, visit, { model, done: done.map(({ node }) => node), failed: missed, status, to })
    await nodes.look(asked)

    if (missed.length === 0) return answerAs(res, done[0]!, asked)
    if (done.length === 0 && away.length === 0) return answerAs(res, failed[0]!, asked)
    const parts = [
      ...(done.length > 0 ? [`done on ${done.map(({ node }) => node.name).join(', ')}`] : []),
      ...failed.map(reply => `not on ${reply.node.name}: ${complaint(reply)}`),
      ...away.map(({ name }) => `not on ${name}: it is not up`),
    ]
    refuse(res, dialectOf(target), {
      status,
      message: parts.join('; '),
      headers: { 'X-Quipu-Node': asked.map(({ name }) => name).join(',') },
    })
  }

  async #pullOnMany(
    visit: Visit,
    model: string,
    nodes: readonly FleetNode[],
    { body, stream }: { readonly body: object; readonly stream: boolean },
  ): Promise<void> {
    const { req, res, target } = visit
    const names = nodes.map(({ name }) => name)
    const progress = new Progress(names)
    const write = (lines: readonly Line[]): void => {
      if (!stream || res.destroyed) return
      for (const line of lines) {
        // What a slow reader misses of a bar's movement, the next line tells.
        if (res.writableNeedDrain && line.digest !== undefined) continue
        if (!res.headersSent) {
          res.writeHead(200, { 'Content-Type': 'application/x-ndjson', 'X-Quipu-Node': names.join(',') })
        }
        res.write(`${goJson(line)}\n`)
      }
    }
    const headers = headersForNode(req.headers)
    const out = { method: 'POST', path: target, headers, body: Buffer.from(JSON.stringify(body)) }
    res.setMaxListeners(0) // one a node
    await Promise.all(
      nodes.map(async node => {
        const why = await this.#lines(node, out, res, line => write(progress.line(node.name, line)))
        write(why === undefined ? progress.end(node.name) : progress.fail(node.name, why))
      }),
    )
    const failed = nodes.filter(({ name }) => progress.failed.includes(name))
    const done = nodes.filter(node => !failed.includes(node))
    this.#needs.nodes.touch(...names)
    this.#record('pull', visit, { model, done, failed, status: res.destroyed ? 499 : 500 })
    const last = progress.last()
    if (stream) {
      write([last])
      res.end()
    } else tell(res, 'application/json', goJson(last), last.error === undefined ? 200 : 500)
    await this.#needs.nodes.look(nodes)
  }

  /** The lines of one node's answer. Resolves to what went wrong, if it did; the client's leaving calls the node off. */
  #lines(
    node: FleetNode,
    out: Outgoing,
    res: ServerResponse,
    each: (line: string) => void,
  ): Promise<string | undefined> {
    return new Promise(resolve => {
      const decoder = new StringDecoder('utf8')
      let rest = ''
      const over = (why?: string): void => {
        res.off('close', left)
        resolve(why)
      }
      const left = (): void => {
        call.abort()
        over('the client went away')
      }
      const call = this.#needs.upstream(node.url).send(out, {
        start: () => {},
        data(chunk) {
          const lines = (rest + decoder.write(chunk)).split('\n')
          rest = lines.pop()!
          for (const line of lines) if (line !== '') each(line)
          if (rest.length <= LINE_LENGTH_MAX) return
          call.abort()
          over('the node answered with a line without end')
        },
        end() {
          if (rest.trim() !== '') each(rest)
          over()
        },
        fail: (failure: Failure) => over(plainly(failure)),
      })
      if (res.destroyed) left()
      else res.once('close', left)
    })
  }

  /** Names that no model can have leave no fact. */
  #record(verb: Verb, { by }: Visit, { model, done, failed, status, to }: Outcome): void {
    const id = canonicalName(model ?? '')
    if (id === undefined) return
    const { engine } = this.#needs
    const names = (nodes: readonly FleetNode[]): readonly string[] => nodes.map(({ name }) => name)
    if (done.length > 0) {
      const nodes = names(done)
      if (verb === 'copy')
        engine.attempt('model', id, { type: 'model.copy', by, data: { nodes, to: to ?? '' } })
      else engine.attempt('model', id, { type: DEEDS[verb], by, data: { nodes } })
    }
    if (failed.length > 0) {
      engine.attempt('model', id, { type: 'model.fail', by, data: { verb, nodes: names(failed), status } })
    }
  }
}
