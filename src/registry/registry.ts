/**
 * Sees to it that models are where policies want them. It looks at the plan whenever something happened that may have
 * changed it, and every minute whatever happened: what is missing is ordered, what is one too many is removed, and what
 * nobody wants any more is called off. The plan itself is pure (plan.ts), and remembers nothing: what is on its way stands
 * in the journal.
 *
 *   a fact ──▶ soon ─┬─▶ plan ──▶ as much of it as the budget allows ──▶ transfers ordered, copies removed
 *   a minute ────────┘                └── the rest, when there is budget again
 *
 * A node that comes and goes a hundred times must not move models a hundred times. So a node may be away for a while before
 * anything is done (--heal-after), and what is done without being asked is counted over a window (budget.ts). Whoever asks
 * for it to be done now waits for neither.
 */
import { Refusal } from '../../machines/entity.ts'
import type { PolicyData } from '../../machines/policy.ts'
import { replicaId } from '../../machines/replica.ts'
import type { TransferCause } from '../../machines/transfer.ts'
import type { Timer } from '../clock.ts'
import { type Reactor, reactor } from '../engine/reactor.ts'
import { allowance } from './budget.ts'
import { Carrier, type CarrierNeeds } from './carrier.ts'
import { byModel, type Finding, findings, type ModelSeen } from './consistency.ts'
import { optimize, type Proposal } from './optimize.ts'
import { type Action, choose, type How, mayRemove, plan } from './plan.ts'
import { Remover, type RemoverNeeds } from './remover.ts'
import { atOnce, careOf, type SightNeeds, sceneOf } from './sight.ts'
import { admissionOf } from './sites.ts'
import { type Standing, standings } from './standing.ts'
import { type TransferTold, tellTransfers } from './told.ts'

export interface RegistryNeeds
  extends Omit<CarrierNeeds, 'config'>,
    RemoverNeeds,
    Omit<SightNeeds, 'config' | 'arrivedBytes'> {
  readonly config: CarrierNeeds['config']
  /** The models that the node's agent saw in Ollama's folder, and when it said so. */
  readonly heard: (node: string) => { readonly at: number; readonly models: readonly ModelSeen[] } | undefined
}

/** Facts come in bunches: one look at the plan for all of them. */
const SOON_MS = 250
/** A plan for a large fleet takes a while. Of the house's time it may take so much, one part in as many. */
const SHARE = 20
const EVERY_MS = 60_000

type Cause = Exclude<TransferCause, 'asked'>
interface Removal {
  readonly nodes?: readonly string[] | undefined
  readonly force: boolean
}
type Pull = Extract<Action, { readonly do: 'pull' }>

export class Registry {
  readonly reactors: readonly Reactor[]
  readonly #carrier: Carrier
  readonly #needs: RegistryNeeds & SightNeeds
  readonly #remover: Remover
  #soon: Timer | undefined
  #next: Timer | undefined
  /** What the last look took. */
  #tookMs = 0
  #found: ReadonlyMap<Finding['about'], number> = new Map()
  /** Removals go one after the other: a plan of many must not be many calls at once. Those to come, by copy. */
  readonly #doomed = new Set<string>()
  #removing: Promise<unknown> = Promise.resolve()
  #closed = false

  constructor(needs: RegistryNeeds) {
    this.#carrier = new Carrier(needs)
    this.#needs = { ...needs, arrivedBytes: id => this.#carrier.progress(id)?.bytes ?? 0 }
    this.#remover = new Remover(needs)
    const soon = (self: Registry): void => self.#wake()
    const mine = reactor(this as Registry, {
      on: {
        'policy.set': soon,
        'policy.cleared': soon,
        'node.registered': soon,
        'node.joined': soon,
        'node.lost': soon,
        'node.returned': soon,
        'node.drained': soon,
        'node.resumed': soon,
        'node.removed': soon,
        'node.equipped': soon,
        'replica.found': soon,
        'replica.removed': soon,
        'transfer.failed': soon,
        'transfer.abandoned': soon,
        'transfer.cancelled': soon,
        'setting.set': soon,
        'setting.reset': soon,
      },
      resume: soon,
    })
    this.reactors = [this.#carrier.reactor, mine]
  }

  // ── what people ask for ──────────────────────────────────────────────────────────────────────────────────────

  transfers(models?: ReadonlySet<string>): readonly TransferTold[] {
    return tellTransfers({ ...this.#needs, carrier: this.#carrier }, models)
  }

  /** Orders it, where it is neither there nor on its way. Throws a Refusal where there is nowhere to bring it. */
  pull(model: string, where: How, by: string) {
    const { engine, fleet } = this.#needs
    if ('nodes' in where) for (const node of where.nodes) known(fleet.state.has(node), node)
    const { nodes, excluded, candidates, sizeBytes } = choose(sceneOf(this.#needs), model, where)
    if (nodes.length === 0) {
      const why = excluded.map(({ node, why }) => `${node}: ${why}`).slice(0, 3)
      throw new Refusal(
        'transfer.nowhere',
        `there is no node for ${model}; ${why.join('; ') || 'none is registered'}`,
      )
    }
    // Whoever names nodes names the first one first, and wants it as it is now where it is already.
    const named = 'nodes' in where ? where.nodes : undefined
    const bound = nodes.filter(({ has }) => named !== undefined || !has)
    if (named) bound.sort((a, b) => named.indexOf(a.node) - named.indexOf(b.node))
    for (const { node, has } of bound) {
      const data = {
        cause: 'asked' as const,
        ...(sizeBytes !== undefined && { sizeBytes }),
        ...(has && { renews: true as const }),
        ...('count' in where && { candidates }),
      }
      engine.commit('transfer', replicaId(model, node), { type: 'transfer.order', data, by })
    }
    const told = this.#told()
    return {
      model,
      transfers: bound.map(({ node }) => told.get(replicaId(model, node))!),
      already: named ? [] : nodes.filter(({ has }) => has).map(({ node }) => node),
      excluded,
    }
  }

  cancel(id: string, by: string): TransferTold {
    const { engine, transfers } = this.#needs
    if (!transfers.state.open.has(id)) {
      throw new Refusal('transfer.unknown', `nothing is on its way as ${id}; see /quipu/transfers`)
    }
    engine.commit('transfer', id, { type: 'transfer.cancel', data: { why: 'asked' }, by })
    return this.#told().get(id)!
  }

  /** In turn with what the house removes by itself, so that two do not each take what looks like one too many. */
  remove(model: string, how: Removal, by: string) {
    return this.#inTurn(() => this.#remove(model, how, by))
  }

  async #remove(model: string, { nodes, force }: Removal, by: string) {
    const { engine, fleet, residency, transfers } = this.#needs
    for (const node of nodes ?? []) known(fleet.state.has(node), node)
    const copies = [...(residency.state.byModel.get(model)?.keys() ?? [])]
    const bound = [...transfers.state.open.values()].filter(transfer => transfer.model === model)
    const meant = nodes ?? [...new Set([...copies, ...bound.map(({ node }) => node)])]
    const there = meant.filter(node => copies.includes(node))
    const away = bound.filter(({ node }) => meant.includes(node))
    if (there.length === 0 && away.length === 0)
      throw new Refusal('replica.absent', `none of these nodes has ${model}; see /quipu/models`)
    if (!force && there.length > 0) this.#mind(model, copies, there)
    for (const { id } of away)
      engine.attempt('transfer', id, { type: 'transfer.cancel', data: { why: 'asked' }, by })
    const ends = await Promise.all(
      there.map(async node => ({ node, why: await this.#remover.remove(model, node, { by }) })),
    )
    await engine.settled()
    const strangers = meant.filter(node => !there.includes(node) && !away.some(one => one.node === node))
    return {
      model,
      removed: ends.filter(({ why }) => why === undefined).map(({ node }) => node),
      failed: [
        ...ends.flatMap(({ node, why }) => (why === undefined ? [] : [{ node, why }])),
        ...strangers.map(node => ({ node, why: 'it does not have it' })),
      ],
    }
  }

  /** What its policy wants at least stays; a copy on a node that is down, or that it does not want there, is none to rely on. */
  #mind(model: string, copies: readonly string[], going: readonly string[]): void {
    const { fleet, policies } = this.#needs
    const policy: PolicyData = policies.state.get(model) ?? {}
    const { replicasMin: min = 0, replicasMax: max = '' } = policy
    const admits = admissionOf(policy)
    const counts = (node: string): boolean => {
      const there = fleet.state.get(node)
      return there?.reach === 'up' && admits(there)
    }
    const left = copies.filter(node => !going.includes(node) && counts(node)).length
    if (left >= min) return
    const how = `ask for fewer first (quipu policy set ${model} replicas=${left}-${max}), or say force`
    const rule = `its policy wants ${min}, and ${left} would be left that can be reached`
    throw new Refusal('policy.needs', `${model} stays: ${rule}; ${how}; then it is brought back elsewhere`)
  }

  status(models?: ReadonlySet<string>): readonly Standing[] {
    return standings(this.#needs, {
      models,
      plan: plan(sceneOf(this.#needs), careOf(this.#needs), models),
      transfers: this.transfers(models),
      findings: byModel(this.#findings()),
    })
  }

  /** What declared placement takes, at once: no grace, no budget; but no rule about nodes is broken for it. */
  async sync(
    { model, dryRun }: { readonly model?: string | undefined; readonly dryRun: boolean },
    by: string,
  ) {
    const care = atOnce(careOf(this.#needs))
    const { actions, unmet } = plan(sceneOf(this.#needs), care, model === undefined ? undefined : [model])
    if (!dryRun) for (const action of actions) this.#do(action, 'sync', by)
    await this.#needs.engine.settled()
    return { dryRun, actions: actions.map(worded), unmet }
  }

  /** What would serve better, by what was asked for lately; nothing is done unless somebody says so. */
  async optimize({ apply }: { readonly apply: boolean }, by: string) {
    const proposals = optimize(sceneOf(this.#needs), careOf(this.#needs))
    if (apply) for (const proposal of proposals) this.#do(actionOf(proposal), 'optimize', by)
    await this.#needs.engine.settled()
    return { applied: apply, proposals: proposals.map(valued) }
  }

  /** What did not fit together at the last look, by what it is about. */
  get found(): ReadonlyMap<Finding['about'], number> {
    return this.#found
  }

  /** Bytes of models that came over the wire since the house started, as nodes told. */
  get bytes(): number {
    return this.#carrier.bytes
  }

  close(): void {
    this.#closed = true
    this.#soon?.cancel()
    this.#next?.cancel()
    this.#carrier.close()
  }

  // ── what it does by itself ───────────────────────────────────────────────────────────────────────────────────

  #wake(): void {
    if (this.#closed || this.#soon !== undefined) return
    this.#soon = this.#needs.clock.after(Math.max(SOON_MS, this.#tookMs * SHARE), () => {
      this.#soon = undefined
      this.#reconcile()
    })
  }

  #reconcile(): void {
    const { clock, engine, transfers } = this.#needs
    this.#next?.cancel()
    this.#next = undefined
    if (this.#closed) return
    const now = clock.now()
    const began = clock.monotonic()
    this.#found = new Map(
      [...Map.groupBy(this.#findings(), one => one.about)].map(([about, some]) => [about, some.length]),
    )
    const { actions, againAt } = plan(sceneOf(this.#needs), careOf(this.#needs))
    this.#tookMs = clock.monotonic() - began
    const budget = allowance(transfers.state.actions, now)
    let left = budget.count - this.#doomed.size
    let waits = false
    for (const action of actions) {
      if (action.do === 'remove' && this.#minds(action.model, action.node)) continue
      // To call off what nobody wants moves nothing.
      if (action.do !== 'cancel' && left <= 0) {
        waits = true
        continue
      }
      if (engine.writable && this.#do(action, 'policy', 'registry') && action.do !== 'cancel') left -= 1
    }
    const next = Math.min(
      now + EVERY_MS,
      againAt ?? Number.POSITIVE_INFINITY,
      waits ? (budget.at ?? Number.POSITIVE_INFINITY) : Number.POSITIVE_INFINITY,
    )
    this.#next = clock.after(Math.max(SOON_MS, next - now), () => this.#wake())
  }

  /** Whether there was anything to do. */
  #do(action: Action, cause: Cause, by: string): boolean {
    if (action.do === 'pull') return this.#order(action, cause, by)
    const { model, node } = action
    if (action.do === 'remove') {
      const id = replicaId(model, node)
      if (this.#doomed.has(id)) return false
      this.#doomed.add(id)
      const drop = () => this.#drop(model, node, { cause, by }).finally(() => this.#doomed.delete(id))
      void this.#inTurn(drop)
      return true
    }
    const cancel = { type: 'transfer.cancel', data: { why: action.why }, by } as const
    return this.#needs.engine.attempt('transfer', replicaId(model, node), cancel).length > 0
  }

  #order({ model, node, candidates, digest, lost, sizeBytes }: Pull, cause: Cause, by: string): boolean {
    const data = {
      cause,
      ...(candidates.length > 0 && { candidates }),
      ...(lost !== undefined && lost.length > 0 && { lost }),
      ...(sizeBytes !== undefined && { sizeBytes }),
      ...(digest !== undefined && { digest }),
    }
    const order = { type: 'transfer.order', data, by } as const
    return this.#needs.engine.attempt('transfer', replicaId(model, node), order).length > 0
  }

  /** Those after it do not mind how it ends. */
  #inTurn<T>(deed: () => Promise<T>): Promise<T> {
    const done = this.#removing.then(deed)
    this.#removing = done.catch(() => {})
    return done
  }

  #findings(): readonly Finding[] {
    const { catalog, clock, fleet, heard, made, residency } = this.#needs
    return findings({
      now: clock.now(),
      replicas: residency.state.byModel,
      catalog: catalog.state.keys(),
      made: made.state,
      up: node => fleet.state.get(node)?.reach === 'up',
      heard,
    })
  }

  /** Is it being removed, or could it not be a short while ago? */
  #minds(model: string, node: string): boolean {
    return this.#doomed.has(replicaId(model, node)) || this.#remover.minds(model, node)
  }

  /** When its turn comes, things may be otherwise: what is needed by then stays. */
  async #drop(
    model: string,
    node: string,
    why: { readonly cause: Cause; readonly by: string },
  ): Promise<void> {
    if (this.#closed || !this.#surplus(model, node, why.cause)) return
    await this.#remover.remove(model, node, why)
  }

  #surplus(model: string, node: string, cause: Cause): boolean {
    const scene = sceneOf(this.#needs)
    const care = careOf(this.#needs)
    if (cause !== 'optimize')
      return mayRemove(scene, model, node, cause === 'sync' ? atOnce(care) : care) === undefined
    return optimize(scene, care).some(one => one.do === 'remove' && one.model === model && one.node === node)
  }

  /** By id: the open one, or the last that was. */
  #told(): ReadonlyMap<string, TransferTold> {
    return new Map(
      this.transfers()
        .toReversed()
        .map(each => [each.id, each]),
    )
  }
}

/** As doors tell it: what a decision was made from stays in the journal. */
function worded<D extends string>({ do: deed, model, node, reason }: Worded<D>): Worded<D> {
  return { do: deed, model, node, reason }
}

interface Worded<D extends string> {
  readonly do: D
  readonly model: string
  readonly node: string
  readonly reason: string
}

/** What taking up a proposal comes to. */
function actionOf(proposal: Proposal): Action {
  if (proposal.do === 'remove') return proposal
  const { bytes, model, node, reason, candidates } = proposal
  return { do: 'pull', model, node, reason, candidates, ...(bytes !== undefined && { sizeBytes: bytes }) }
}

function valued({ do: deed, model, node, reason, ...worth }: Proposal) {
  const { bytes } = worth
  const benefitMs = 'benefitMs' in worth ? worth.benefitMs : undefined
  return {
    ...{ do: deed, model, node, reason },
    ...(benefitMs !== undefined && { benefitMs }),
    ...(bytes !== undefined && { bytes }),
  }
}

function known(there: boolean, node: string): void {
  if (!there) throw new Refusal('node.unknown', `there is no node ${node}; see /quipu/nodes`)
}
