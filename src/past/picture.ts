/** What the views show an operator at one moment: nodes, models, who waits and who runs, what people had set. */
import type { LossReason, NodeEquipment, ThrottleCause } from '../../machines/node.ts'
import type { PolicyData } from '../../machines/policy.ts'
import { isSimulated, standing } from '../projections/fleet.ts'
import { lineup } from '../projections/queue.ts'
import { type Open, runningOn } from '../projections/requests.ts'
import type { Answers } from './travel.ts'

export interface Picture {
  readonly nodes: readonly NodeThen[]
  readonly models: readonly ModelThen[]
  readonly queue: {
    readonly waiting: number
    readonly running: number
    /** Those who run, the oldest first, then those who wait, line by line in the order of their turns. */
    readonly requests: readonly RequestThen[]
  }
  readonly policies: readonly PolicyThen[]
  readonly settings: readonly SettingThen[]
}

/** Times are milliseconds since the epoch. */
export interface NodeThen {
  readonly name: string
  readonly url: string
  readonly standing: ReturnType<typeof standing>
  readonly simulated: boolean
  readonly version: string
  readonly slots: number
  readonly residentMax: number
  readonly weight: number
  readonly hours?: string
  readonly labels: Readonly<Record<string, string>>
  readonly breaker: 'closed' | 'open' | 'halfOpen'
  readonly running: number
  /** Names of models in memory, and of those on their way there. */
  readonly resident: readonly string[]
  readonly loading: readonly string[]
  /** Since when it stood so. */
  readonly since: number
  readonly loss?: { readonly reason: LossReason; readonly model?: string }
  /** What slowed it down; and what its agent had said of its memory. */
  readonly throttled?: ThrottleCause
  readonly memoryBytes?: number
  readonly gpus?: readonly string[]
}

export interface ModelThen {
  readonly name: string
  readonly digest: string
  readonly sizeBytes: number
  readonly waiting: number
  readonly running: number
  readonly nodes: readonly {
    readonly node: string
    readonly state: 'present' | 'loading' | 'resident'
    readonly since: number
    /** How it was loaded; left out where that was left to the node. */
    readonly variant?: string
    readonly running: number
  }[]
}

export interface RequestThen {
  readonly id: string
  readonly state: Open['state']
  readonly model: string
  readonly client: string
  readonly class: Open['class']
  readonly priority: number
  readonly job: boolean
  readonly admittedAt: number
  /** Of one that waits: its turn in its line. */
  readonly position?: number
  /** Of one that runs: where (a node, or the worker who has it), and since when. */
  readonly node?: string
  readonly assignedAt?: number
}

export interface PolicyThen {
  readonly model: string
  readonly policy: PolicyData
  readonly setAt: number
  readonly by?: string
}

export interface SettingThen {
  readonly name: string
  readonly value: string
  readonly setAt?: number
  readonly by?: string
}

/** Of those who wait no more are told one by one. */
const REQUESTS_MAX = 1_000

export interface Look {
  /** The moment itself: who has waited long by then goes by it. */
  readonly now: number
  readonly starveMs: number
}

export function pictureOf(answers: Answers, look: Look): Picture {
  return {
    nodes: nodesOf(answers),
    models: modelsOf(answers),
    queue: queueOf(answers, look),
    policies: [...answers.policies.state].sort(byKey).map(([model, { setAt, by, ...policy }]) => ({
      model,
      policy,
      setAt,
      ...(by !== undefined && { by }),
    })),
    settings: settingsOf(answers),
  }
}

function nodesOf({ fleet, residency, requests, breakers }: Answers): readonly NodeThen[] {
  return [...fleet.state].sort(byKey).map(([name, node]) => {
    const { url, version, slots, residentMax, weight = 1, hours, labels, since, loss, reach } = node
    const { equipment, throttled } = node
    const copies = [...(residency.state.inMemory.get(name)?.values() ?? [])]
    const named = (state: 'resident' | 'loading'): readonly string[] =>
      copies
        .filter(copy => copy.state === state)
        .map(({ model }) => model)
        .sort()
    return {
      name,
      url,
      standing: standing(node),
      simulated: isSimulated(node),
      version,
      slots,
      residentMax,
      weight,
      ...(hours !== undefined && { hours }),
      labels,
      breaker: breakers.state.nodes.get(name)?.state ?? 'closed',
      running: runningOn(requests.state, name),
      resident: named('resident'),
      loading: named('loading'),
      since,
      ...(loss !== undefined && reach === 'down' && { loss }),
      ...(throttled !== undefined && { throttled: throttled.cause }),
      ...(equipment?.memoryBytes !== undefined && { memoryBytes: equipment.memoryBytes }),
      ...(equipment !== undefined && { gpus: equipment.gpus.map(gpuText) }),
    }
  })
}

function gpuText({ vendor, model, memoryBytes }: NodeEquipment['gpus'][number]): string {
  const size = memoryBytes === undefined ? '' : `, ${Math.round(memoryBytes / 1e9)} GB`
  return `${model || vendor}${size}`
}

function modelsOf({ catalog, residency, requests }: Answers): readonly ModelThen[] {
  const { queue, running } = requests.state
  const names = new Set([...catalog.state.keys(), ...residency.state.byModel.keys()])
  return [...names].sort().flatMap((name): readonly ModelThen[] => {
    const copies = [...(residency.state.byModel.get(name)?.values() ?? [])]
    const known = catalog.state.get(name) ?? copies[0]
    if (known === undefined) return []
    const lines = [...(queue.ofModel.get(name) ?? [])].map(key => queue.lines.get(key)!)
    const { digest, sizeBytes } = known
    return [
      {
        name,
        digest,
        sizeBytes,
        waiting: lines.reduce((sum, { count }) => sum + count, 0),
        running: [...(running.get(name)?.values() ?? [])].reduce((sum, count) => sum + count, 0),
        nodes: copies
          .sort((a, b) => (a.node < b.node ? -1 : 1))
          .map(({ node, state, since, variant }) => ({
            node,
            state,
            since,
            ...(variant !== '' && { variant }),
            running: runningOn(requests.state, node, name),
          })),
      },
    ]
  })
}

function queueOf({ requests }: Answers, look: Look): Picture['queue'] {
  const { open, queue } = requests.state
  const running = [...open.values()].filter(({ state }) => state !== 'queued')
  const waiting: RequestThen[] = []
  for (const [, line] of [...queue.lines].sort(byKey)) {
    let position = 0
    for (const one of lineup(queue, line, look)) {
      if (waiting.length >= REQUESTS_MAX) break
      position += 1
      waiting.push({ ...requestOf(one), position })
    }
  }
  return {
    waiting: queue.count,
    running: running.length,
    requests: [...running.sort((a, b) => a.assignedAt - b.assignedAt).map(requestOf), ...waiting],
  }
}

function requestOf({
  id,
  state,
  model,
  client,
  class: kind,
  priority,
  job,
  admittedAt,
  node,
  assignedAt,
}: Open): RequestThen {
  const place = state === 'queued' ? {} : { node, assignedAt }
  return { id, state, model, client, class: kind, priority, job, admittedAt, ...place }
}

function settingsOf({ settings }: Answers): readonly SettingThen[] {
  const { values, history } = settings.state
  return [...values].sort(byKey).map(([name, value]) => {
    const last = history.findLast(change => change.name === name)
    if (last === undefined) return { name, value }
    return { name, value, setAt: last.at, ...(last.by !== '' && { by: last.by }) }
  })
}

function byKey([a]: readonly [string, unknown], [b]: readonly [string, unknown]): number {
  return a < b ? -1 : 1
}
