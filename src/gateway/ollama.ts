/**
 * Ollama's own API, but for inference: answers about the fleet, put together here, and what any one node can answer,
 * passed on. The verbs that change models are in verbs.ts.
 */
import { canonicalName, displayName, parseName } from '../../machines/name.ts'
import type { Outgoing } from '../call.ts'
import type { Config } from '../config.ts'
import type { Engine } from '../engine/engine.ts'
import type { FleetNode } from '../projections/fleet.ts'
import { answer, goJson, tell } from './answer.ts'
import { lowestVersion, mergePs, mergeTags, modelEntry, modelList } from './merged.ts'
import { Nodes, type NodesNeeds, type NodeVitals } from './nodes.ts'
import { type PassNeeds, type PassOptions, pass } from './pass.ts'
import { isCloud, peekJson } from './peek.ts'
import { refuse } from './refusals.ts'
import { answerAs, askAll } from './several.ts'
import { Verbs, type VerbsNeeds } from './verbs.ts'
import type { Visit } from './visit.ts'

export interface OllamaApiNeeds extends NodesNeeds, PassNeeds, Pick<VerbsNeeds, 'hasBlob'> {
  readonly engine: Engine
  readonly config: Config
}

/** Showing a model neither loads it nor waits for it. */
const PATIENCE_MS = 30_000

/** Ollama's words for what is refused, after `ollama cloud is disabled: `. */
export const CLOUD_OFF = {
  inference: 'remote model is unavailable',
  show: 'remote model details are unavailable',
  search: 'web search is unavailable',
  fetch: 'web fetch is unavailable',
} as const

export class OllamaApi {
  readonly nodes: Nodes
  readonly verbs: Verbs
  readonly #needs: OllamaApiNeeds

  constructor(needs: OllamaApiNeeds) {
    this.#needs = needs
    this.nodes = new Nodes(needs)
    this.verbs = new Verbs({ ...needs, nodes: this.nodes })
  }

  /** May models be changed? Not while that could not be written down. */
  get writable(): boolean {
    return this.#needs.engine.writable
  }

  // ── answers about the fleet ──────────────────────────────────────────────────────────────────────────────────

  root({ res }: Visit): void {
    answer(res, 200, { 'Content-Type': 'text/plain; charset=utf-8' }, 'Ollama is running')
  }

  /** The lowest: what every node can do. */
  version({ res }: Visit): void {
    const said = this.nodes.all.filter(({ version }) => version !== '')
    const up = said.filter(({ reach }) => reach === 'up')
    const version = lowestVersion((up.length > 0 ? up : said).map(node => node.version)) ?? '0.0.0'
    tell(res, JSON_UTF8, goJson({ version }))
  }

  status({ res }: Visit): void {
    const disabled = !this.#needs.config.cloud
    tell(res, JSON_UTF8, goJson({ cloud: { disabled, source: disabled ? 'config' : 'none' } }))
  }

  async tags({ res }: Visit): Promise<void> {
    tell(res, JSON_UTF8, goJson({ models: await this.#tags() }))
  }

  async ps({ res }: Visit): Promise<void> {
    await this.nodes.freshen()
    const lists = this.nodes.up.map(node => this.nodes.vitals(node)?.ps ?? [])
    tell(res, JSON_UTF8, goJson({ models: mergePs(lists) }))
  }

  async models({ res }: Visit): Promise<void> {
    tell(res, 'application/json', `${goJson(modelList(await this.#tags()))}\n`)
  }

  async model({ res, param }: Visit): Promise<void> {
    if (isCloud(param) && !this.#needs.config.cloud) return this.refuseCloud(res, 'show')
    const name = parseName(param.trim())
    if (name === undefined) return refuse(res, 'openai', { status: 400, message: 'invalid model name' })
    const key = displayName(name).toLowerCase()
    const row = (await this.#tags()).find(tag => canonicalName(tag.name) === key)
    if (row === undefined) {
      return refuse(res, 'openai', { status: 404, message: `model '${displayName(name)}' not found` })
    }
    tell(res, 'application/json', `${goJson(modelEntry(param, row))}\n`)
  }

  // ── one node's answer, untouched ─────────────────────────────────────────────────────────────────────────────

  /** From a node that has the model; where none has, from any, whose own words are the answer. */
  async show(visit: Visit): Promise<void> {
    const { model, name } = await peekJson(visit.body)
    const asked = model ?? name ?? ''
    const { cloud } = this.#needs.config
    if (isCloud(asked) && !cloud) return this.refuseCloud(visit.res, 'show')
    const id = canonicalName(asked.trim())
    if (id !== undefined) await this.nodes.seek(id)
    if (id !== undefined && !cloud && this.nodes.isElsewhere(id)) return this.refuseCloud(visit.res, 'show')
    const nodes = this.nodes.answerers(id).slice(0, this.#needs.config.attemptsMax)
    await this.#pass(visit, nodes, { next: 'failed', patienceMs: PATIENCE_MS })
  }

  /** What concerns no model, or names none: any node's own words are the answer. */
  async any(visit: Visit): Promise<void> {
    const nodes = this.nodes.usable.slice(0, this.#needs.config.attemptsMax)
    await this.#pass(visit, nodes, { next: 'failed' })
  }

  /** What concerns the account of one node's owner; always the same node's, while it is up. */
  async account(visit: Visit): Promise<void> {
    await this.#pass(visit, this.nodes.usable.slice(0, 1), { next: 'untaken' })
  }

  /** The node asks ollama.com, on its owner's account. */
  async web(visit: Visit, what: 'search' | 'fetch'): Promise<void> {
    if (!this.#needs.config.cloud && visit.body.length > 0) return this.refuseCloud(visit.res, what)
    await this.account(visit)
  }

  /** Unloads a model wherever it is in memory; one answer stands for all. */
  async unload(visit: Visit, out: Outgoing, model: string): Promise<void> {
    const warm = this.nodes.warm(model)
    const asked = warm.length > 0 ? warm : this.nodes.answerers(model).slice(0, 1)
    if (asked.length === 0) return this.verbs.nobody(visit.res, visit.target)
    const replies = await askAll(this.#needs, asked, out)
    this.nodes.touch(...asked.map(({ name }) => name))
    await this.nodes.look(asked)
    answerAs(visit.res, replies.find(({ status }) => status >= 400) ?? replies[0]!, asked)
  }

  refuseCloud(res: Visit['res'], what: keyof typeof CLOUD_OFF): void {
    refuse(res, 'ollama', { status: 403, message: `ollama cloud is disabled: ${CLOUD_OFF[what]}` })
  }

  async #tags(): Promise<NodeVitals['tags'][number][]> {
    await this.nodes.freshen()
    const lists = this.nodes.up.map(node => this.nodes.vitals(node)?.tags ?? [])
    return mergeTags(lists, this.#needs.config)
  }

  async #pass(visit: Visit, nodes: readonly FleetNode[], options: PassOptions): Promise<void> {
    const { node } = await pass(this.#needs, visit, nodes, options)
    if (node === undefined) this.verbs.nobody(visit.res, visit.target)
  }
}

const JSON_UTF8 = 'application/json; charset=utf-8'
