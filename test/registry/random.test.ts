/**
 * Plans for random fleets. Whatever they look like: carried out again and again a plan comes to rest, soon; it never
 * breaks a rule on the way, checked here without the planner's own code; in the end there are as many copies as are wanted
 * wherever that can be; and it does not matter in which order anything is told.
 */
import t from 'tap'
import { mulberry32 } from '../../src/clock.ts'
import type { Demand } from '../../src/projections/demand.ts'
import { type Action, plan } from '../../src/registry/plan.ts'
import { CARE, type PlannedNode, type PlannedPolicy, type Scene } from '../../src/registry/sites.ts'
import { carryOut, copy, land, machine, NOW, node, open, scene } from './scene.ts'

const SEED = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 31))
const FLEETS = Number(process.env.FLEETS ?? 400)
const DAY_MS = 86_400_000

type Random = () => number
const upTo = (random: Random, n: number): number => Math.floor(random() * n)
const oneOf = <T>(random: Random, all: readonly T[]): T => all[upTo(random, all.length)]!
const some = <T>(random: Random, all: readonly T[], share: number): T[] => all.filter(() => random() < share)

interface World {
  readonly scene: Scene
  readonly disks: Map<string, number>
}

function randomWorld(random: Random): World {
  const names = Array.from({ length: 1 + upTo(random, 14) }, (_, i) => `n${i}`)
  const models = Array.from({ length: 1 + upTo(random, 10) }, (_, i) => `m${i}:latest`)
  const sizes = new Map(models.map(model => [model, oneOf(random, [1e9, 4e9, 9e9, 40e9, undefined])]))
  const disks = new Map(
    some(random, names, 0.7).map(name => [name, CARE.reserveBytes + upTo(random, 60) * 1e9]),
  )
  const barred = new Set(some(random, names, 0.05))
  const busy = new Set(
    some(
      random,
      models.flatMap(model => names.map(name => `${model}@${name}`)),
      0.1,
    ),
  )
  const waits = new Set(some(random, models, 0.2))
  const nodes = names.map(name => randomNode(random, name))
  const policies: Record<string, PlannedPolicy> = {}
  for (const model of models) if (random() < 0.8) policies[model] = randomPolicy(random, names)
  const pairs = models.flatMap(model => names.map(name => [model, name] as const))
  const copies = some(random, pairs, 0.25).map(([model, name]) =>
    copy(model, name, {
      state: oneOf(random, ['present', 'present', 'resident', 'loading']),
      digest: random() < 0.9 ? `d-${model}` : 'other',
    }),
  )
  const there = new Set(copies.map(({ id }) => id))
  const coming = some(random, pairs, 0.05)
    .map(([model, name], i) =>
      open(model, name, {
        seq: i,
        cause: oneOf(random, ['policy', 'policy', 'asked', 'sync', 'optimize']),
        state: oneOf(random, ['waiting', 'running', 'resting']),
      }),
    )
    .filter(({ id }) => !there.has(id))
  const demand = new Map(some(random, models, 0.5).map(model => [model, randomDemand(random)]))
  return {
    disks,
    scene: scene({
      nodes,
      policies,
      copies,
      open: coming,
      demand,
      made: new Set(some(random, models, 0.05)),
      sizeOf: model => sizes.get(model),
      freeBytes: name => disks.get(name),
      barred: name => barred.has(name),
      running: (name, model) => (model === undefined ? 0 : Number(busy.has(`${model}@${name}`))),
      waiting: model => Number(waits.has(model)),
    }),
  }
}

function randomNode(random: Random, name: string): PlannedNode {
  const reach = oneOf(random, ['up', 'up', 'up', 'up', 'up', 'up', 'down', 'joining'] as const)
  const gpuBytes = random() < 0.5 ? oneOf(random, [8e9, 24e9, 48e9]) : 0
  return node(name, {
    reach,
    duty: oneOf(random, ['active', 'active', 'active', 'active', 'active', 'draining', 'empty'] as const),
    since: NOW - oneOf(random, [1_000, CARE.settleMs, CARE.graceMs - 1, CARE.graceMs, 3_600_000, 2 * DAY_MS]),
    labels: random() < 0.5 ? { gpu: oneOf(random, ['a', 'b']) } : {},
    weight: oneOf(random, [0.5, 1, 1, 2]),
    ...(random() < 0.5 && machine(oneOf(random, [8e9, 64e9]), gpuBytes)),
    ...(random() < 0.05 && { throttled: { cause: 'heat' as const, since: NOW } }),
  })
}

function randomPolicy(random: Random, names: readonly string[]): PlannedPolicy {
  const least = upTo(random, 4)
  const nodes = some(random, names, 0.6)
  const kind = random()
  return {
    ...(kind < 0.8 && { replicasMin: least }),
    ...(kind > 0.4 && kind < 0.95 && { replicasMax: Math.max(1, least + upTo(random, 3)) }),
    ...(random() < 0.2 && nodes.length > 0 && { nodes }),
    ...(random() < 0.2 && { avoid: some(random, names, 0.3) }),
    ...(random() < 0.3 && { prefer: some(random, names, 0.3) }),
    ...(random() < 0.2 && { labels: { gpu: oneOf(random, ['a', 'b']) } }),
  }
}

function randomDemand(random: Random): Demand {
  const plain = upTo(random, 50)
  const labelled = upTo(random, 50)
  const byLabels = new Map([
    ['', plain],
    ['[["gpu","a"]]', labelled],
  ])
  const none = { waitMs: 0, runMs: 0, loads: 0, loadMs: 0, evictions: 0 }
  return { ...none, requests: plain + labelled, byLabels, byNode: new Map() }
}

const admitted = (
  { nodes, avoid, labels = {} }: PlannedPolicy,
  { name, labels: own }: PlannedNode,
): boolean =>
  (nodes?.includes(name) ?? true) &&
  !avoid?.includes(name) &&
  Object.entries(labels).every(([key, value]) => own[key] === value)

const numbered = (policy: PlannedPolicy | undefined): boolean =>
  policy?.replicasMin !== undefined || policy?.replicasMax !== undefined

/** The rules, once more and plainly, for one plan. An answer is what is wrong. */
function faultsOf({ scene, disks }: World, actions: readonly Action[]): readonly string[] {
  const faults: string[] = []
  const nodes = new Map([...scene.nodes].map(one => [one.name, one]))
  const promised = new Map<string, number>()
  const called = new Set<string>()
  const note = (name: string, model: string, sign = 1): void =>
    void promised.set(name, (promised.get(name) ?? 0) + sign * (scene.sizeOf(model) ?? 5e9))
  for (const one of scene.transfers.open.values()) note(one.node, one.model)
  const taken = new Map<string, string[]>()
  for (const { do: deed, model, node: name, reason } of actions) {
    const wrong = (what: string): void => void faults.push(`${deed} ${model} ${name}: ${what} (${reason})`)
    const policy = scene.policies.get(model)
    const there = nodes.get(name)
    if (there === undefined) {
      if (deed !== 'cancel') wrong('no such node')
      continue
    }
    const copies = scene.replicas.get(model) ?? new Map()
    if (deed === 'cancel') {
      const transfer = scene.transfers.open.get(`${model}@${name}`)
      if (transfer === undefined) wrong('there is none')
      if (transfer?.cause === 'asked') wrong('somebody asked for it')
      called.add(`${model}@${name}`)
      note(name, model, -1)
      continue
    }
    if (!numbered(policy)) wrong('nobody says how many')
    if (there.reach !== 'up' || there.duty !== 'active') wrong('not up and at work')
    if (scene.barred(name)) wrong('breaker')
    if (deed === 'pull') {
      if (!admitted(policy!, there)) wrong('policy')
      if (copies.has(name)) wrong('has it')
      if (scene.transfers.open.has(`${model}@${name}`) && !called.has(`${model}@${name}`)) wrong('gets it')
      if (scene.now - there.since < CARE.settleMs) wrong('came just now')
      if (there.throttled !== undefined) wrong('throttled')
      if (scene.made.has(model)) wrong('made here')
      const size = scene.sizeOf(model)
      const free = disks.get(name)
      if (free !== undefined && free - CARE.reserveBytes - (promised.get(name) ?? 0) < (size ?? 0))
        wrong('disk')
      const memory = there.equipment?.memoryBytes
      const gpu = there.equipment?.gpus.reduce((sum, { memoryBytes = 0 }) => sum + memoryBytes, 0) ?? 0
      if (memory !== undefined && size !== undefined && size > memory + gpu) wrong('memory')
      note(name, model)
    } else {
      const gone = [...(taken.get(model) ?? []), name]
      taken.set(model, gone)
      if (scene.running(name, model) > 0 || copies.get(name).state === 'loading') wrong('works')
      if (copies.get(name).state === 'resident' && scene.waiting(model) > 0) wrong('is waited for')
      const left = [...copies.values()].filter(other => {
        const at = nodes.get(other.node)!
        const solid = at.reach === 'up' && at.duty === 'active' && scene.now - at.since >= CARE.graceMs
        const same = other.digest === copies.get(name).digest
        return (
          solid && same && !gone.includes(other.node) && admitted(policy!, at) && !scene.barred(other.node)
        )
      })
      if (left.length < Math.max(1, policy!.replicasMin ?? 0)) wrong(`only ${left.length} are left`)
      if (policy!.replicasMax === undefined) wrong('nobody says how many at most')
    }
  }
  return faults
}

function shuffled<T>(random: Random, all: readonly T[]): T[] {
  const some = [...all]
  for (let i = some.length - 1; i > 0; i -= 1) {
    const k = upTo(random, i + 1)
    const one = some[i]!
    some[i] = some[k]!
    some[k] = one
  }
  return some
}

function inAnotherOrder(random: Random, scene: Scene): Scene {
  const mixed = <V>(map: ReadonlyMap<string, V>): Map<string, V> => new Map(shuffled(random, [...map]))
  return {
    ...scene,
    nodes: shuffled(random, [...scene.nodes]),
    policies: mixed(scene.policies),
    replicas: new Map(shuffled(random, [...scene.replicas]).map(([model, copies]) => [model, mixed(copies)])),
    transfers: { open: mixed(scene.transfers.open), abandoned: mixed(scene.transfers.abandoned) },
  }
}

const deeds = (actions: readonly Action[]): readonly string[] =>
  actions.map(({ do: deed, model, node: at }) => `${deed} ${model}@${at}`)

t.test(`SEED=${SEED}: plans come to rest, keep the rules, and know no order`, async t => {
  const random = mulberry32(SEED)
  let busy = 0
  for (let fleet = 0; fleet < FLEETS; fleet += 1) {
    const world = randomWorld(random)
    const { scene } = world
    const own = (text: string): string => `fleet ${fleet} of SEED=${SEED}: ${text}`
    for (let step = 0; ; step += 1) {
      const { actions, unmet, stocks } = plan(scene)
      const told = plan(inAnotherOrder(random, scene))
      if (JSON.stringify(told) !== JSON.stringify({ ...told, actions, unmet, stocks }))
        return t.fail(own('another order, another plan'))
      const faults = faultsOf(world, actions)
      if (faults.length > 0) return t.same(faults, [], own('rules'))
      if (actions.length === 0) {
        const transfers = [...scene.transfers.open.values()]
        // What is wanted is there, or on its way; or it is said why not.
        for (const { model, min, max, copies, coming, strays } of stocks) {
          const short = copies.length + coming.length < min
          const over = copies.length > (max ?? Infinity) || (max !== undefined && strays.length > 0)
          const said = unmet.some(one => one.model === model)
          if ((short || over) !== said)
            return t.fail(own(`${model}: ${copies} ${coming} of ${min} to ${max}, ${said ? '' : 'not '}said`))
        }
        if (transfers.length === 0 || step > 20) break
        for (const transfer of transfers) landAt(world, transfer)
        continue
      }
      busy += 1
      if (step > 20) return t.same(deeds(actions), [], own('does not come to rest'))
      carryOut(scene, actions, false)
      // Some arrive at once, some later.
      for (const transfer of [...scene.transfers.open.values()]) if (random() < 0.5) landAt(world, transfer)
    }
  }
  t.ok(busy > FLEETS / 2, `${busy} plans had something to say`)
})

function landAt({ scene, disks }: World, transfer: Parameters<typeof land>[1]): void {
  land(scene, transfer)
  const free = disks.get(transfer.node)
  if (free !== undefined) disks.set(transfer.node, free - (scene.sizeOf(transfer.model) ?? 5e9))
}

t.test(`SEED=${SEED}: nodes that come and go within the grace move nothing`, async t => {
  const random = mulberry32(SEED ^ 0x5eed)
  for (let fleet = 0; fleet < FLEETS / 4; fleet += 1) {
    const names = Array.from({ length: 3 + upTo(random, 8) }, (_, i) => `n${i}`)
    const policies = Object.fromEntries(
      Array.from({ length: 6 }, (_, i) => [`m${i}`, { replicasMin: 1 + (i % 2), replicasMax: 1 + (i % 2) }]),
    )
    let now = NOW
    const nodes = names.map(name => node(name))
    const self = scene({ nodes, policies })
    carryOut(self, plan(self).actions, true)
    t.same(plan(self).actions, [])
    for (let step = 0; step < 60; step += 1) {
      now += upTo(random, CARE.graceMs)
      for (const [i, one] of nodes.entries()) {
        if (one.reach === 'up' && random() < 0.3) nodes[i] = { ...one, reach: 'down', since: now }
        else if (one.reach === 'down' && (now - one.since > CARE.graceMs / 2 || random() < 0.5))
          nodes[i] = { ...one, reach: 'up', since: now }
      }
      for (const [i, one] of nodes.entries())
        if (one.reach === 'down' && now - one.since >= CARE.graceMs)
          nodes[i] = { ...one, reach: 'up', since: now }
      const { actions } = plan({ ...self, nodes, now })
      if (actions.length > 0) return t.same(deeds(actions), [], `fleet ${fleet}, step ${step}, SEED=${SEED}`)
    }
  }
})

t.test(
  `SEED=${SEED}: a node that is lost for good, or returns late, costs what it must and no more`,
  async t => {
    const random = mulberry32(SEED ^ 0xdead)
    for (let fleet = 0; fleet < FLEETS / 4; fleet += 1) {
      const names = Array.from({ length: 4 + upTo(random, 8) }, (_, i) => `n${i}`)
      const models = Array.from({ length: 20 }, (_, i) => `m${i}`)
      const policies = Object.fromEntries(models.map(model => [model, { replicasMin: 2, replicasMax: 2 }]))
      const nodes = names.map(name => node(name))
      const self = scene({ nodes, policies })
      carryOut(self, plan(self).actions, true)
      const held = [...self.replicas.values()].filter(copies => copies.has('n0')).length
      nodes[0] = { ...nodes[0]!, reach: 'down', since: NOW }
      const later = { ...self, now: NOW + CARE.graceMs }
      const { actions } = plan(later)
      t.equal(actions.length, held, 'one for each copy that was lost')
      t.ok(actions.every(one => one.do === 'pull' && one.lost?.[0] === 'n0'))
      carryOut(later, actions, true)
      t.same(plan(later).actions, [])
      nodes[0] = { ...nodes[0]!, reach: 'up', since: later.now + DAY_MS / 2 }
      const back = { ...self, now: later.now + DAY_MS / 2 }
      t.same(plan(back).actions, [], 'not while it has just come')
      const firm = { ...back, now: back.now + CARE.graceMs }
      const surplus = plan(firm).actions
      t.same(
        [surplus.length, surplus.every(one => one.do === 'remove' && one.node === 'n0')],
        [held, true],
        'whoever went away gives up what is one too many',
      )
    }
  },
)

t.test('a new node draws lots with the others, and takes about its share of them', async t => {
  const names = Array.from({ length: 9 }, (_, i) => `n${i}`)
  const policies = Object.fromEntries(Array.from({ length: 500 }, (_, i) => [`m${i}`, { replicasMin: 1 }]))
  const chosen = (all: readonly string[]): Map<string, string> =>
    new Map(
      plan(scene({ nodes: all.map(name => node(name)), policies })).actions.map(one => [one.model, one.node]),
    )
  const before = chosen(names)
  const after = chosen([...names, 'n9'])
  const moved = [...before].filter(([model, at]) => after.get(model) !== at)
  t.ok(moved.every(([model]) => after.get(model) === 'n9'))
  t.ok(moved.length > 25 && moved.length < 80, `${moved.length} of 500 go to the tenth node`)
})
