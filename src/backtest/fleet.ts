/** The nodes and models of a simulation, whatever they were read from. Times in milliseconds, speeds in tokens a second. */
import type { NodeData } from '../../machines/node.ts'
import type { Arrival } from './trace.ts'

/** How fast one model is on one node, each slot by itself: slots do not slow each other down here. */
export interface Pace {
  readonly loadMs: number
  readonly prefillTps: number
  readonly decodeTps: number
}

export interface FleetModel extends Pace {
  readonly name: string
  readonly sizeBytes: number
}

export interface FleetNode {
  readonly name: string
  /** Requests at once per model; models in memory at once. */
  readonly slots: number
  readonly resident: number
  /** Twice as fast is 2. Loads are not faster: they are the disk's. */
  readonly speed: number
  /** What is on its disk, and where its pace is another than the model's divided by the speed. */
  readonly models: ReadonlyMap<string, Partial<Pace>>
  /** Of its GPU; without it, models are counted and take no room. */
  readonly memoryBytes?: number
  /** A house is not told of that. */
  readonly agent?: false
  /** When it is away: rules, as calendar.ts reads them. */
  readonly off: readonly string[]
  /** What else a house is told of it. */
  readonly terms?: Pick<NodeData, 'weight' | 'hours'> & Partial<Pick<NodeData, 'labels'>>
}

export interface Fleet {
  /** How long an idle model stays in memory. */
  readonly keepAliveMs: number
  /** Most asked for first. */
  readonly models: readonly FleetModel[]
  readonly nodes: readonly FleetNode[]
}

/** The pace of a model on a node; undefined where the node does not have it. */
export function paceOn(fleet: Fleet, node: FleetNode, model: string): Pace | undefined {
  const special = node.models.get(model)
  const general = fleet.models.find(({ name }) => name === model)
  if (special === undefined || general === undefined) return undefined
  const speed = node.speed / slowedBy(general, node)
  return {
    loadMs: special.loadMs ?? general.loadMs,
    prefillTps: special.prefillTps ?? general.prefillTps * speed,
    decodeTps: special.decodeTps ?? general.decodeTps * speed,
  }
}

/** With its context and buffers. */
const TAKEN = 1.15
/** How much slower a token is that needs the main memory: the bandwidth of the one by that of the other. */
const OFFLOADED_SLOWER = 10
/** Of what is free, a model may take so much beside others, says Ollama. */
const BESIDE = 0.8

export function takenBytes({ sizeBytes }: Pick<FleetModel, 'sizeBytes'>): number {
  return sizeBytes * TAKEN
}

/** What is not in the memory of the GPU is slow. */
function slowedBy(model: FleetModel, { memoryBytes = Number.POSITIVE_INFINITY }: FleetNode): number {
  const outside = Math.max(0, 1 - memoryBytes / takenBytes(model))
  return 1 + outside * (OFFLOADED_SLOWER - 1)
}

/** Ollama's rule of what may be in memory at once; undefined where only the number of models counts. */
export function fitsOn(
  { models }: Fleet,
  { memoryBytes }: FleetNode,
): ((model: string, loaded: readonly string[]) => boolean) | undefined {
  if (memoryBytes === undefined) return undefined
  const taken = new Map(models.map(model => [model.name, takenBytes(model)]))
  const of = (name: string): number => taken.get(name) ?? 0
  return (model, loaded) => {
    const free = memoryBytes - loaded.reduce((sum, other) => sum + of(other), 0)
    return of(model) <= BESIDE * free
  }
}

/** How long a request takes once it has a slot. */
export function serviceMs(
  { promptTokens, outputTokens }: Pick<Arrival, 'promptTokens' | 'outputTokens'>,
  { prefillTps, decodeTps }: Pick<Pace, 'prefillTps' | 'decodeTps'>,
): { readonly promptMs: number; readonly outputMs: number } {
  return { promptMs: (promptTokens / prefillTps) * 1_000, outputMs: (outputTokens / decodeTps) * 1_000 }
}

/**
 * The share of the fleet that the requests keep busy, loads not counted: seconds of work at speed 1, by the time
 * between the first and the last of them, by all slots times their speed. (Slots count once a node, however many
 * models are in its memory.)
 */
export function utilisation(fleet: Fleet, arrivals: readonly Arrival[]): number {
  const models = new Map(fleet.models.map(model => [model.name, model]))
  let workMs = 0
  for (const arrival of arrivals) {
    const model = models.get(arrival.model)
    if (model === undefined) continue
    const { promptMs, outputMs } = serviceMs(arrival, model)
    workMs += promptMs + outputMs
  }
  const power = fleet.nodes.reduce((sum, { slots, speed }) => sum + slots * speed, 0)
  return workMs / (spanMs(arrivals) * power)
}

/** The same requests, further apart or closer together, so that the fleet is that busy. */
export function stretched(fleet: Fleet, arrivals: readonly Arrival[], target: number): readonly Arrival[] {
  const start = arrivals[0]?.at ?? 0
  const factor = utilisation(fleet, arrivals) / target
  return arrivals.map(arrival => ({ ...arrival, at: start + (arrival.at - start) * factor }))
}

function spanMs(arrivals: readonly Arrival[]): number {
  return Math.max(1, arrivals.at(-1)!.at - arrivals[0]!.at)
}
