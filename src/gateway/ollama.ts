/**
 * Ollama's own API, but for inference: answers about the fleet, and the verbs that change models. What one node can
 * answer is passed through byte for byte; what concerns several is put together here.
 */
import { createHash } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Verb } from '../../machines/model.ts'
import { canonicalName, displayName, parseName } from '../../machines/name.ts'
import type { Outgoing, Upstream } from '../call.ts'
import type { Clock } from '../clock.ts'
import type { Config } from '../config.ts'
import type { Engine } from '../engine/engine.ts'
import { Failure } from '../failure.ts'
import { type Fleet, type FleetNode, routable } from '../projections/fleet.ts'
import type { Residency } from '../projections/residency.ts'
import { lowestVersion, mergePs, mergeTags, modelEntry, modelList } from './merged.ts'
import { peekJson } from './peek.ts'
import { type Line, Progress } from './progress.ts'
import { dialectOf, goJson, lastWords, refuse } from './refusals.ts'
import { headersForNode, relay } from './relay.ts'

interface NodeVitals {
  readonly tags: readonly {
    readonly name: string
    readonly modified_at?: string
    readonly remote_host?: string
  }[]
  readonly ps: readonly { readonly name: string; readonly expires_at?: string }[]
  readonly seenAt: number
}

export interface OllamaApiNeeds {
  readonly engine: Engine
  readonly clock: Clock
  readonly config: Config
  readonly fleet: Fleet
  readonly residency: Residency
  readonly vitals: ReadonlyMap<string, NodeVitals>
  readonly upstream: (url: string) => Upstream
  readonly hasBlob: (url: string, digest: string, signal: AbortSignal) => Promise<boolean>
  readonly look: (node: string) => Promise<void>
}

/** What a node said a moment ago is good enough for a list; older, and the house looks again, but not for long. */
const FRESH_MS = 1_000
const LOOK_MAX_MS = 2_000
const BLOB_LOOK_MAX_MS = 5_000
/** Statuses and small bodies of verbs sent to several nodes. */
const ANSWER_BYTES_MAX = 64 * 1024

const DEEDS = {
  pull: 'model.pull',
  create: 'model.create',
  push: 'model.push',
  delete: 'model.delete',
} as const

interface Answer {
  readonly node: FleetNode
  readonly status: number
  readonly headers: readonly string[]
  readonly body: Buffer
}

export class OllamaApi {
  readonly #needs: OllamaApiNeeds

  constructor(needs: OllamaApiNeeds) {
    this.#needs = needs
  }

  // ── answers about the fleet ──────────────────────────────────────────────────────────────────────────────────

  root(_req: IncomingMessage, res: ServerResponse): void {
    send(res, 200, 'text/plain; charset=utf-8', 'Ollama is running')
  }

  version(_req: IncomingMessage, res: ServerResponse): void {
    const versions = [...this.#needs.fleet.state.values()].filter(node => node.version !== '')
    const up = versions.filter(({ reach }) => reach === 'up')
    const version = lowestVersion((up.length > 0 ? up : versions).map(node => node.version)) ?? '0.0.0'
    json(res, { version })
  }

  status(_req: IncomingMessage, res: ServerResponse): void {
    const disabled = !this.#needs.config.cloud
    json(res, { cloud: { disabled, source: disabled ? 'config' : 'none' } })
  }

  async tags(_req: IncomingMessage, res: ServerResponse): Promise<void> {
    json(res, { models: await this.#tags() })
  }

  async ps(_req: IncomingMessage, res: ServerResponse): Promise<void> {
    await this.#freshen()
    json(res, { models: mergePs(this.#ups().map(({ name }) => this.#needs.vitals.get(name)?.ps ?? [])) })
  }

  async models(_req: IncomingMessage, res: ServerResponse): Promise<void> {
    send(res, 200, 'application/json', `${goJson(modelList(await this.#tags()))}\n`)
  }

  async model(_req: IncomingMessage, res: ServerResponse, asked: string): Promise<void> {
    const name = parseName(asked)
    if (name === undefined) return refuse(res, 'openai', { status: 400, message: 'invalid model name' })
    const key = displayName(name).toLowerCase()
    const row = (await this.#tags()).find(tag => canonicalName(tag.name) === key)
    if (row === undefined) {
      return refuse(res, 'openai', { status: 404, message: `model '${displayName(name)}' not found` })
    }
    send(res, 200, 'application/json', `${goJson(modelEntry(asked, row))}\n`)
  }

  // ── one node's answer, untouched ─────────────────────────────────────────────────────────────────────────────

  /** Anything about one model: asked of a node that has it, else of any, whose own words are the answer. */
  async show(req: IncomingMessage, res: ServerResponse, body: Buffer): Promise<void> {
    await this.#passTo(this.#holder(peekJson(body).model), req, res, req.url!, body)
  }

  /** What no schedule can help: a body that names no model, or a question about the node itself. */
  async any(req: IncomingMessage, res: ServerResponse, path: string, body: Buffer): Promise<void> {
    await this.#passTo(this.#holder(undefined), req, res, path, body)
  }

  /** Unloads a model wherever it is in memory; one answer stands for all. */
  async unload(res: ServerResponse, path: string, out: Outgoing, model: string): Promise<void> {
    const { residency, fleet } = this.#needs
    const replicas = [...(residency.state.byModel.get(model)?.values() ?? [])]
    const warm = replicas.filter(({ state }) => state !== 'present').map(({ node }) => fleet.state.get(node))
    const targets = warm.filter(node => node?.reach === 'up') as FleetNode[]
    const fallback = this.#holder(model)
    if (targets.length === 0 && fallback !== undefined) targets.push(fallback)
    if (targets.length === 0) return this.#nobody(res, path)
    const answers = await this.#askAll(targets, () => out)
    await this.#lookAt(targets)
    this.#answerAs(res, path, answers)
  }

  // ── verbs ────────────────────────────────────────────────────────────────────────────────────────────────────

  async copy(req: IncomingMessage, res: ServerResponse, body: Buffer): Promise<void> {
    const { source, destination } = peekJson(body)
    await this.#everywhere('copy', req, res, body, source, destination)
  }

  async delete(req: IncomingMessage, res: ServerResponse, body: Buffer): Promise<void> {
    await this.#everywhere('delete', req, res, body, peekJson(body).model)
  }

  async push(req: IncomingMessage, res: ServerResponse, body: Buffer): Promise<void> {
    const { model } = peekJson(body)
    await this.#onOne('push', req, res, body, model, this.#holder(model))
  }

  async pull(req: IncomingMessage, res: ServerResponse, body: Buffer): Promise<void> {
    const { model, stream, insecure = false } = peekJson(body)
    const named = this.#named(req, res)
    if (named === undefined) return
    const one = this.#usable().find(node => this.#has(node, model)) ?? this.#emptiest()
    const targets = named.length > 0 ? named : one === undefined ? [] : [one]
    if (targets.length <= 1 || model === undefined)
      return this.#onOne('pull', req, res, body, model, targets[0])
    await this.#pullOnMany(req, res, { model, insecure, stream: stream !== false }, targets)
  }

  async create(req: IncomingMessage, res: ServerResponse, body: Buffer): Promise<void> {
    const { model, from, files } = peekJson(body)
    const named = this.#named(req, res)
    if (named === undefined) return
    const digests = Object.values(files ?? {}).filter(value => typeof value === 'string')
    const builder = named[0] ?? (await this.#builder(req, digests, from))
    await this.#onOne('create', req, res, body, model, builder)
  }

  /** An upload goes where its create will go: to the node that this client builds on. */
  async blob(req: IncomingMessage, res: ServerResponse, digest: string): Promise<void> {
    const named = this.#named(req, res)
    if (named === undefined) return
    const node =
      named[0] ?? (req.method === 'HEAD' ? await this.#builder(req, [digest], undefined) : this.#home(req))
    const body = req.method === 'HEAD' ? Buffer.alloc(0) : req
    await this.#passTo(node, req, res, req.url!, body)
  }

  // ── how ──────────────────────────────────────────────────────────────────────────────────────────────────────

  async #tags(): Promise<NodeVitals['tags'][number][]> {
    await this.#freshen()
    const lists = this.#ups().map(({ name }) => this.#needs.vitals.get(name)?.tags ?? [])
    return mergeTags(lists, this.#needs.config)
  }

  #ups(): FleetNode[] {
    return [...this.#needs.fleet.state.values()].filter(({ reach }) => reach === 'up')
  }

  /** Looks at nodes that have not been looked at for a moment. A slow one is not waited for: its last words count. */
  async #freshen(): Promise<void> {
    const { clock, vitals } = this.#needs
    const stale = this.#ups().filter(({ name }) => clock.now() - (vitals.get(name)?.seenAt ?? 0) > FRESH_MS)
    if (stale.length > 0) await this.#lookAt(stale)
  }

  async #lookAt(nodes: readonly FleetNode[]): Promise<void> {
    const { clock, look } = this.#needs
    await new Promise<void>(resolve => {
      const timer = clock.after(LOOK_MAX_MS, resolve)
      void Promise.all(nodes.map(({ name }) => look(name))).then(() => {
        timer.cancel()
        resolve()
      })
    })
  }

  #usable(): FleetNode[] {
    const up = this.#ups()
    const ready = up.filter(routable)
    return (ready.length > 0 ? ready : up).sort((a, b) => (a.name < b.name ? -1 : 1))
  }

  /** A node that has the model, in memory first; else any node. */
  #holder(model: string | undefined): FleetNode | undefined {
    const usable = this.#usable()
    const replicas = this.#needs.residency.state.byModel.get(canonicalName(model ?? '') ?? '')
    const having = usable.filter(({ name }) => replicas?.has(name))
    return having.find(({ name }) => replicas?.get(name)?.state === 'resident') ?? having[0] ?? usable[0]
  }

  #has(node: FleetNode, model: string | undefined): boolean {
    return this.#needs.residency.state.byModel.get(canonicalName(model ?? '') ?? '')?.has(node.name) ?? false
  }

  /** The node that has the fewest bytes of models. */
  #emptiest(): FleetNode | undefined {
    const { residency } = this.#needs
    const bytes = ({ name }: FleetNode): number => {
      let sum = 0
      for (const { sizeBytes } of residency.state.byNode.get(name)?.values() ?? []) sum += sizeBytes
      return sum
    }
    return this.#usable().reduce<FleetNode | undefined>(
      (a, b) => (a === undefined || bytes(b) < bytes(a) ? b : a),
      undefined,
    )
  }

  /** The node a client's uploads go to: the same for the same client, as long as the fleet is the same. */
  #home(req: IncomingMessage): FleetNode | undefined {
    const client = req.socket.remoteAddress ?? ''
    const score = (node: FleetNode): string =>
      createHash('sha256').update(`${client}\n${node.name}`).digest('hex')
    return this.#usable().reduce<FleetNode | undefined>(
      (a, b) => (a === undefined || score(b) > score(a) ? b : a),
      undefined,
    )
  }

  /** A node that has all the blobs, and the model it is made from if any has that; else the client's home. */
  async #builder(
    req: IncomingMessage,
    digests: readonly string[],
    from: string | undefined,
  ): Promise<FleetNode | undefined> {
    const home = this.#home(req)
    const nodes = this.#usable().sort((a, b) => Number(b === home) - Number(a === home))
    const based =
      from !== undefined && nodes.some(node => this.#has(node, from))
        ? nodes.filter(n => this.#has(n, from))
        : nodes
    const known = digests.filter(digest => /^sha256[:-][0-9a-fA-F]{64}$/.test(digest))
    if (known.length === 0) return based[0] ?? home
    const signal = AbortSignal.timeout(BLOB_LOOK_MAX_MS)
    for (const node of based) {
      const has = known.map(digest => this.#needs.hasBlob(node.url, digest, signal).catch(() => false))
      if ((await Promise.all(has)).every(Boolean)) return node
    }
    return home
  }

  /** Nodes that X-Quipu-Nodes names (`all` for all); none when it is not there; undefined when it was refused. */
  #named(req: IncomingMessage, res: ServerResponse): readonly FleetNode[] | undefined {
    const header = req.headers['x-quipu-nodes']
    if (header === undefined) return []
    const names = String(header)
      .split(',')
      .map(name => name.trim())
      .filter(Boolean)
    if (names.join() === 'all') return this.#usable()
    const found = names.map(name => this.#needs.fleet.state.get(name))
    const unknown = names.filter((_name, i) => found[i] === undefined)
    if (names.length > 0 && unknown.length === 0) return found as FleetNode[]
    const known = [...this.#needs.fleet.state.keys()].join(', ') || 'none'
    const message = `X-Quipu-Nodes: no node is called ${unknown.join(', ') || '""'}; there are: ${known}, or say all`
    refuse(res, dialectOf(req.url!), { status: 400, message })
    return undefined
  }

  #nobody(res: ServerResponse, path: string): void {
    const message =
      this.#needs.fleet.state.size === 0
        ? 'no node is registered; add one with: quipu nodes add http://HOST:11434'
        : 'no node is up; see: quipu nodes ls'
    refuse(res, dialectOf(path), { status: 503, message, headers: { 'Retry-After': '5' } })
  }

  async #passTo(
    node: FleetNode | undefined,
    req: IncomingMessage,
    res: ServerResponse,
    path: string,
    body: Buffer | IncomingMessage,
  ): Promise<number> {
    if (node === undefined) {
      this.#nobody(res, path)
      return 503
    }
    const headers = headersForNode(req.headers)
    const length = req.headers['content-length']
    if (!Buffer.isBuffer(body) && length !== undefined) headers['content-length'] = length
    const out = {
      method: req.method!,
      path,
      headers,
      body: Buffer.isBuffer(body) && body.length === 0 ? null : body,
    }
    const ending = await relay({
      clock: this.#needs.clock,
      upstream: this.#needs.upstream(node.url),
      out,
      res,
      headers: { 'X-Quipu-Node': node.name },
      lastWords: (type, failure) =>
        lastWords(dialectOf(path), path, type, `node ${node.name} went away: ${failure.message}`),
    })
    if (ending.as === 'unreached') {
      const message = `node ${node.name} could not be asked: ${ending.failure.message}`
      refuse(res, dialectOf(path), { status: 502, message, headers: { 'X-Quipu-Node': node.name } })
      return 502
    }
    if (ending.as !== 'ended') return ending.as === 'left' ? 499 : 502
    const words = ending.tail.toString('latin1')
    return ending.status < 400 && /(?:^|\n)\{"error":/.test(words) ? 500 : ending.status
  }

  async #onOne(
    verb: Verb,
    req: IncomingMessage,
    res: ServerResponse,
    body: Buffer,
    model: string | undefined,
    node: FleetNode | undefined,
  ): Promise<void> {
    const status = await this.#passTo(node, req, res, req.url!, body)
    if (node === undefined) return
    this.#record(verb, req, model, [node], status < 400 ? [] : [node], status)
    await this.#needs.look(node.name)
  }

  /** On every node that has it; where none has, any node's own 404 is the answer. */
  async #everywhere(
    verb: 'copy' | 'delete',
    req: IncomingMessage,
    res: ServerResponse,
    body: Buffer,
    model: string | undefined,
    to = '',
  ): Promise<void> {
    const holders = this.#ups().filter(node => this.#has(node, model))
    const targets = holders.length > 0 ? holders : this.#usable().slice(0, 1)
    if (targets.length === 0) return this.#nobody(res, req.url!)
    const headers = headersForNode(req.headers)
    const answers = await this.#askAll(targets, () => ({
      method: req.method!,
      path: req.url!,
      headers,
      body,
    }))
    const failed = answers.filter(({ status }) => status >= 400)
    this.#record(
      verb,
      req,
      model,
      targets,
      failed.map(({ node }) => node),
      failed[0]?.status ?? 200,
      to,
    )
    await this.#lookAt(targets)
    this.#answerAs(res, req.url!, answers)
  }

  async #pullOnMany(
    req: IncomingMessage,
    res: ServerResponse,
    { model, insecure, stream }: { model: string; insecure: boolean; stream: boolean },
    nodes: readonly FleetNode[],
  ): Promise<void> {
    const progress = new Progress(nodes.map(({ name }) => name))
    const tell = (line: Line): void => {
      if (!stream || res.destroyed) return
      if (!res.headersSent)
        res.writeHead(200, {
          'Content-Type': 'application/x-ndjson',
          'X-Quipu-Node': nodes.map(n => n.name).join(','),
        })
      res.write(`${goJson(line)}\n`)
    }
    const path = req.url!
    // Always streamed from the nodes, whatever the client asked for.
    const out = {
      method: 'POST',
      path,
      headers: headersForNode(req.headers),
      body: Buffer.from(JSON.stringify({ model, insecure, stream: true })),
    }
    await Promise.all(
      nodes.map(async node => {
        await this.#lines(node, out, res, text => {
          let line: Line
          try {
            line = JSON.parse(text) as Line
          } catch {
            line = { error: 'the node answered with something that is not JSON' }
          }
          for (const told of progress.line(node.name, line)) tell(told)
        }).catch((failure: Failure) => progress.line(node.name, { error: failure.message }))
        progress.end(node.name)
      }),
    )
    const failed = nodes.filter(({ name }) => progress.failed.includes(name))
    this.#record('pull', req, model, nodes, failed, failed.length > 0 ? 500 : 200)
    const last = progress.last()
    if (stream) {
      tell(last)
      res.end()
    } else send(res, last.error === undefined ? 200 : 500, 'application/json', goJson(last))
    await this.#lookAt(nodes)
  }

  /** The lines of one node's answer. Rejects when the node breaks off; the client's leaving calls the node off. */
  #lines(node: FleetNode, out: Outgoing, res: ServerResponse, each: (line: string) => void): Promise<void> {
    return new Promise((resolve, reject) => {
      let rest = ''
      const left = (): void => {
        call.abort()
        reject(new Failure('ollama.broken', 'the client went away'))
      }
      const over = (settle: () => void): void => {
        res.off('close', left)
        settle()
      }
      const call = this.#needs.upstream(node.url).send(out, {
        start: () => {},
        data: chunk => {
          const lines = (rest + chunk.toString()).split('\n')
          rest = lines.pop()!
          for (const line of lines) if (line !== '') each(line)
        },
        end: () => {
          if (rest.trim() !== '') each(rest)
          over(resolve)
        },
        fail: failure => over(() => reject(failure)),
      })
      res.once('close', left)
    })
  }

  #askAll(nodes: readonly FleetNode[], out: (node: FleetNode) => Outgoing): Promise<Answer[]> {
    return Promise.all(nodes.map(node => this.#ask(node, out(node))))
  }

  #ask(node: FleetNode, out: Outgoing): Promise<Answer> {
    return new Promise(resolve => {
      const chunks: Buffer[] = []
      let status = 0
      let size = 0
      let headers: readonly string[] = []
      this.#needs.upstream(node.url).send(out, {
        start: (code, raw) => {
          status = code
          headers = raw
        },
        data: chunk => {
          size += chunk.length
          if (size <= ANSWER_BYTES_MAX) chunks.push(chunk)
        },
        end: () => resolve({ node, status, headers, body: Buffer.concat(chunks) }),
        fail: failure => {
          const body = Buffer.from(
            goJson({ error: `node ${node.name} could not be asked: ${failure.message}` }),
          )
          resolve({ node, status: 502, headers: ['Content-Type', 'application/json; charset=utf-8'], body })
        },
      })
    })
  }

  /** The first answer that went wrong, else the first: a node's own words and status. */
  #answerAs(res: ServerResponse, path: string, answers: readonly Answer[]): void {
    const answer = answers.find(({ status }) => status >= 400) ?? answers[0]
    if (answer === undefined) return this.#nobody(res, path)
    const headers: string[] = []
    for (let i = 0; i < answer.headers.length; i += 2) {
      if (/^content-type$/i.test(answer.headers[i]!)) headers.push(answer.headers[i]!, answer.headers[i + 1]!)
    }
    headers.push('Content-Length', String(answer.body.length))
    headers.push('X-Quipu-Node', answers.map(({ node }) => node.name).join(','))
    res.writeHead(answer.status, headers)
    res.end(answer.body)
  }

  /** Who did what to which model where: facts for the audit. Names that no model can have leave none. */
  #record(
    verb: Verb,
    req: IncomingMessage,
    model: string | undefined,
    nodes: readonly FleetNode[],
    failed: readonly FleetNode[],
    status: number,
    to = '',
  ): void {
    const id = canonicalName(model ?? '')
    if (id === undefined) return
    const { engine } = this.#needs
    const by = req.socket.remoteAddress ?? ''
    const done = nodes.filter(node => !failed.includes(node)).map(({ name }) => name)
    if (done.length > 0) {
      if (verb === 'copy') engine.attempt('model', id, { type: 'model.copy', by, data: { nodes: done, to } })
      else engine.attempt('model', id, { type: DEEDS[verb], by, data: { nodes: done } })
    }
    if (failed.length > 0) {
      const data = { verb, nodes: failed.map(({ name }) => name), status }
      engine.attempt('model', id, { type: 'model.fail', by, data })
    }
  }
}

function json(res: ServerResponse, value: unknown): void {
  send(res, 200, 'application/json; charset=utf-8', goJson(value))
}

/** Go sends up to 2 KiB with a length and more in chunks, whatever the method; so does the house. */
function send(res: ServerResponse, status: number, type: string, body: string): void {
  const length = Buffer.byteLength(body)
  const head = res.req.method === 'HEAD'
  res.writeHead(status, { 'Content-Type': type, ...(length <= 2_048 && { 'Content-Length': length }) })
  res.end(head ? undefined : body)
}
