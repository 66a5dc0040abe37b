/**
 * Do the nodes have what the house thinks they have, and is one model the same everywhere? Pure. Findings are for people, each a
 * sentence that says what to do; nothing follows from them by itself. Nodes that are down are not judged; and what agents say
 * is as old as their last word, so that of what came lately they are not asked.
 *
 *  1. Drift: nodes have different models under one name. What a client gets depends on the node.
 *  2. Damage: files of a model are missing on a node, or cut. While it is in memory it answers; loaded again it cannot be.
 *  3. Two sizes of one digest: one of the nodes counts otherwise, or has lost a part.
 *  4. A node's Ollama has a model, and its agent another one of that name, or none. Mostly the agent reads another folder.
 *  5. The catalog has a model, and no node does. It should be gone from there within a few looks.
 */
import { canonicalName } from '../../machines/name.ts'
import type { Replica } from '../projections/residency.ts'

export interface Inventory {
  readonly now: number
  /** By model, then by node. */
  readonly replicas: ReadonlyMap<string, ReadonlyMap<string, Replica>>
  /** Names of models. */
  readonly catalog: Iterable<string>
  /** Models that Ollama's registry does not have. */
  readonly made: ReadonlySet<string>
  /** May what the house thinks of the node be believed: is it up? */
  readonly up: (node: string) => boolean
  /** What the node's agent said last, and when, milliseconds since the epoch. */
  readonly heard: (node: string) => { readonly at: number; readonly models: readonly ModelSeen[] } | undefined
}

export interface ModelSeen {
  readonly name: string
  /** Empty where the agent cannot read the folder. */
  readonly digest: string
  readonly sizeBytes: number
  readonly blobs: number
  readonly missing: number
}

export interface Finding {
  readonly model: string
  readonly about: 'drift' | 'damage' | 'size' | 'sight' | 'catalog'
  readonly nodes: readonly string[]
  readonly sentence: string
}

/** For what came so lately, an agent's word may be from before; and the house's own look, too. */
const SETTLED_MS = 300_000
/** More are named as so many others. */
const NAMED_MAX = 5

/** By model, then as listed above. */
export function findings(inventory: Inventory): readonly Finding[] {
  const { replicas, catalog } = inventory
  const seen = new Map<string, ReadonlyMap<string, ModelSeen>>()
  const models = [...new Set([...replicas.keys(), ...catalog])].sort()
  return models.flatMap(model => {
    const copies = [...(replicas.get(model)?.values() ?? [])].sort((a, b) => (a.node < b.node ? -1 : 1))
    const reachable = copies.filter(({ node }) => inventory.up(node))
    return [
      ...drift(inventory, model, reachable), // (1)
      ...reachable.flatMap(copy => damage(inventory, seen, copy)), // (2)
      ...size(model, reachable), // (3)
      ...reachable.flatMap(copy => sight(inventory, seen, copy)), // (4)
      ...(copies.length === 0 ? [gone(model)] : []), // (5)
    ]
  })
}

/** Sentences by model, for whoever lists models. */
export function byModel(found: readonly Finding[]): ReadonlyMap<string, readonly string[]> {
  const sentences = new Map<string, string[]>()
  for (const { model, sentence } of found) sentences.set(model, [...(sentences.get(model) ?? []), sentence])
  return sentences
}

function drift({ made }: Inventory, model: string, copies: readonly Replica[]): readonly Finding[] {
  const digests = [...Map.groupBy(copies, ({ digest }) => digest)]
  if (digests.length < 2) return []
  // What most have first; of equals, what was found last is likelier to be the newer.
  const latest = (some: readonly Replica[]): number => Math.max(...some.map(({ since }) => since))
  digests.sort(([a, x], [b, y]) => y.length - x.length || latest(y) - latest(x) || (a < b ? -1 : 1))
  const parts = digests.map(
    ([digest, some]) => `${digest.slice(0, 12)} on ${listed(some.map(({ node }) => node))}`,
  )
  const nodes = copies.map(({ node }) => node)
  const cure = made.has(model)
    ? 'it was made here: make it again on the others, or remove it there'
    : `to have the newest everywhere: quipu models pull ${model} --nodes ${nodes.join(',')}`
  return [
    {
      model,
      about: 'drift',
      nodes,
      sentence: `it is not the same everywhere: ${parts.join('; ')}; ${cure}`,
    },
  ]
}

function damage(inventory: Inventory, seen: Seen, { model, node }: Replica): readonly Finding[] {
  const there = seenOf(inventory, seen, node)?.get(model)
  if (there === undefined || there.missing === 0) return []
  const cure = inventory.made.has(model)
    ? 'it was made here: make it again there'
    : `to bring what is missing: quipu models pull ${model} --nodes ${node}`
  const files = there.blobs === 1 ? 'its file is' : `${there.missing} of its ${there.blobs} files are`
  return [{ model, about: 'damage', nodes: [node], sentence: `${files} missing or cut on ${node}; ${cure}` }]
}

function size(model: string, copies: readonly Replica[]): readonly Finding[] {
  return [...Map.groupBy(copies, ({ digest }) => digest)].flatMap(([digest, some]): readonly Finding[] => {
    const sizes = [...Map.groupBy(some, ({ sizeBytes }) => sizeBytes)].sort(([a], [b]) => b - a)
    if (sizes.length < 2) return []
    const parts = sizes.map(([bytes, here]) => `${bytes} bytes on ${listed(here.map(({ node }) => node))}`)
    const fewest = sizes.at(-1)![1].map(({ node }) => node)
    return [
      {
        model,
        about: 'size',
        nodes: some.map(({ node }) => node),
        sentence:
          `${digest.slice(0, 12)} is not of one size: ${parts.join('; ')}; ` +
          `to be sure: quipu models pull ${model} --nodes ${fewest.join(',')}`,
      },
    ]
  })
}

function sight(
  inventory: Inventory,
  seen: Seen,
  { model, node, digest, since }: Replica,
): readonly Finding[] {
  const heard = inventory.heard(node)
  const all = seenOf(inventory, seen, node)
  if (heard === undefined || all === undefined || heard.at - since < SETTLED_MS) return []
  const there = all.get(model)
  if (there !== undefined && (there.digest === '' || there.digest === digest)) return []
  const what = there === undefined ? 'does not see it' : `sees ${there.digest.slice(0, 12)}`
  return [
    {
      model,
      about: 'sight',
      nodes: [node],
      sentence:
        `on ${node} Ollama has ${digest.slice(0, 12)}, and the agent ${what}; ` +
        'see that the agent reads the folder that Ollama uses (OLLAMA_MODELS)',
    },
  ]
}

function gone(model: string): Finding {
  const sentence = 'no node has it, and it is not off the list yet; if that stays, restart the house'
  return { model, about: 'catalog', nodes: [], sentence }
}

type Seen = Map<string, ReadonlyMap<string, ModelSeen>>

/** What an agent says, by canonical name; read once. */
function seenOf(
  { heard, now }: Inventory,
  seen: Seen,
  node: string,
): ReadonlyMap<string, ModelSeen> | undefined {
  const said = heard(node)
  if (said === undefined || now - said.at > SETTLED_MS) return undefined
  let models = seen.get(node)
  if (models === undefined) {
    models = new Map(said.models.map(one => [canonicalName(one.name) ?? one.name, one]))
    seen.set(node, models)
  }
  return models
}

function listed(names: readonly string[]): string {
  if (names.length <= NAMED_MAX) return names.join(', ')
  return `${names.slice(0, NAMED_MAX).join(', ')} and ${names.length - NAMED_MAX} others`
}
