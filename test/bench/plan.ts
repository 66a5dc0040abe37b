/**
 * What a plan for the models costs: 1,000 nodes, 500 models with a policy each. From nothing, so that every copy is to be
 * brought; where all is as it should be, which is what is asked most of the time; after a node with fifteen copies was
 * lost; and for one model whose policy has become another. A plan waits for nothing, so what counts is the thread's own
 * time; by the clock it takes longer where others want the processor, too.
 */
import { mulberry32 } from '../../src/clock.ts'
import { type Action, plan } from '../../src/registry/plan.ts'
import type { PlannedNode, PlannedPolicy, Scene } from '../../src/registry/sites.ts'
import { carryOut, machine, NOW, node, scene } from '../registry/scene.ts'
import { percentile, type Row } from './row.ts'

const NODES = 1_000
const MODELS = 500
const ROUNDS = 60
const WARM_UP = 10

export async function planBench(): Promise<Row[]> {
  const random = mulberry32(7)
  const nodes = Array.from({ length: NODES }, (_, i) => randomNode(`node-${i}`, random))
  const policies = Object.fromEntries(
    Array.from({ length: MODELS }, (_, i) => [`model-${i}:latest`, policyOf(i)]),
  )
  const sizes = new Map(Object.keys(policies).map(model => [model, (1 + random() * 40) * 1e9]))
  const disks = new Map(nodes.map(({ name }) => [name, (200 + random() * 3_000) * 1e9]))
  const fleet = (): Scene =>
    scene({ nodes, policies, sizeOf: model => sizes.get(model), freeBytes: name => disks.get(name) })

  const empty = fleet()
  const full = fleet()
  carryOut(full, plan(full).actions, true)
  const busiest = [...countByNode(full)].sort(([, a], [, b]) => b - a)[0]!
  const lost = {
    ...full,
    nodes: nodes.map(one =>
      one.name === busiest[0] ? { ...one, reach: 'down' as const, since: NOW - 600_000 } : one,
    ),
  }
  const other = {
    ...full,
    policies: new Map([...full.policies, ['model-7:latest', { replicasMin: 12 }]]) as Map<
      string,
      PlannedPolicy
    >,
  }
  const rows: Row[] = []
  for (const [name, ask, expected, note] of [
    ['from nothing', () => plan(empty), 1_250, 'aim: under 100 (p99)'],
    ['all as it should be', () => plan(full), 0, undefined],
    [`a node lost with ${busiest[1]} copies`, () => plan(lost), busiest[1], undefined],
    ['one model, its policy set anew', () => plan(other, undefined, ['model-7:latest']), 8, undefined],
  ] as const) {
    const { own, wall } = timesOf(ask, expected)
    rows.push({ name: `1,000 nodes, 500 models: ${name}, p50`, value: percentile(own, 0.5), unit: 'ms' })
    const clock = `by the clock ${percentile(wall, 0.5).toFixed(1)} and ${percentile(wall, 0.99).toFixed(1)}`
    const told = note === undefined ? clock : `${note}; ${clock}`
    rows.push({ name: 'the same, p99', value: percentile(own, 0.99), unit: 'ms', note: told })
  }
  return rows
}

interface Times {
  readonly own: readonly number[]
  readonly wall: readonly number[]
}

/** A fast answer that is wrong is no figure. */
function timesOf(ask: () => { readonly actions: readonly Action[] }, expected: number): Times {
  const own: number[] = []
  const wall: number[] = []
  for (let round = 0; round < WARM_UP + ROUNDS; round += 1) {
    const began = performance.now()
    const before = process.threadCpuUsage()
    const { actions } = ask()
    const { user, system } = process.threadCpuUsage(before)
    if (actions.length !== expected) throw new Error(`${actions.length} actions, not ${expected}`)
    if (round < WARM_UP) continue
    own.push((user + system) / 1_000)
    wall.push(performance.now() - began)
  }
  return { own, wall }
}

function randomNode(name: string, random: () => number): PlannedNode {
  const gpu = [0, 12e9, 24e9, 48e9][Math.floor(random() * 4)]!
  return node(name, {
    weight: [1, 1, 2][Math.floor(random() * 3)]!,
    labels: random() < 0.5 ? { gpu: 'yes' } : {},
    ...(random() < 0.8 && machine(128e9, gpu)),
  })
}

/** One to four copies, half of them on nodes with a label. */
function policyOf(i: number): PlannedPolicy {
  const least = 1 + (i % 4)
  return {
    replicasMin: least,
    replicasMax: least + 1,
    ...(i % 2 === 0 && { labels: { gpu: 'yes' } }),
    ...(i % 5 === 0 && { prefer: [`node-${i}`] }),
  }
}

function countByNode({ replicas }: Scene): Map<string, number> {
  const counts = new Map<string, number>()
  for (const copies of replicas.values())
    for (const name of copies.keys()) counts.set(name, (counts.get(name) ?? 0) + 1)
  return counts
}
