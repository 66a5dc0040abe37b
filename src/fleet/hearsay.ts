/**
 * What an agent says, as far as the house believes it. Pure, and the one door for it: what is no number, below nothing,
 * or beyond what any machine has, was not read; texts are cut, and lose what a terminal would take for an order; lists
 * have an end. Nothing here fails, whatever is said.
 */
import type { NodeEquipment } from '../../machines/node.ts'
import type {
  AgentIdentity,
  CommandProgress,
  Equipment,
  GpuLoad,
  Hello,
  Load,
  NodeStatus,
  OllamaLimits,
} from '../rpc/messages.ts'

/** A status whose blobs are counted only: the house asks for them where it needs them. */
export interface Heard extends Omit<NodeStatus, 'present'> {
  readonly present?: { readonly models: readonly ModelHeard[] }
}

export interface ModelHeard {
  readonly name: string
  readonly digest: string
  readonly sizeBytes: number
  /** Files of it that the agent knows of, and of these the ones that are not there, or not whole. */
  readonly blobs: number
  readonly missing: number
}

const TEXT_MAX = 128
const NAME_MAX = 512
const GPUS_MAX = 64
const CORES_MAX = 1_024
const MODELS_MAX = 10_000
/** 1 EiB: more than any machine has, and still exact as a number. */
const BYTES_MAX = 2 ** 53 - 1
const BYTES_PER_S_MAX = 1e12
const WATTS_MAX = 100_000
/** Silicon is neither colder nor hotter than this while it says so. */
const CELSIUS = [-60, 200] as const
/** A share that is a little over 1 was rounded. */
const SHARE_SLACK = 0.05
/** A century, in seconds. */
const UPTIME_MAX = 3.2e9
const COUNT_MAX = 1e6
/** As many as the command line takes: a house counts with them. */
const SLOTS_MAX = 1_024
const STATUS_MAX = 599
const OUTCOMES = ['OUTCOME_DONE', 'OUTCOME_FAILED', 'OUTCOME_CANCELLED'] as const
/** As at the door where people say them. */
const LABELS_MAX = 64
const LABEL_NAME_MAX = 63
const LABEL_MAX = 256

/** Part by part; a part that was not said is not there. */
export function hear(said: NodeStatus): Heard {
  const { at, identity, equipment, load, limits, present, resident } = record(said)
  return {
    at: within(at, 0, Number.MAX_SAFE_INTEGER) ?? 0,
    ...(isRecord(identity) && { identity: identityOf(identity) }),
    ...(isRecord(equipment) && { equipment: equipmentOf(equipment) }),
    ...(isRecord(load) && { load: loadOf(load) }),
    ...(isRecord(limits) && { limits: limitsOf(limits) }),
    ...(isRecord(present) && { present: { models: listOf(present.models, MODELS_MAX).map(modelOf) } }),
    ...(isRecord(resident) && { resident: { models: listOf(resident.models, MODELS_MAX).map(copyOf) } }),
  }
}

/** A word of a command; undefined where it is none that this house knows: a later agent may have others. */
export function progressIn(said: CommandProgress): CommandProgress | undefined {
  const { step, end } = record(said)
  if (isRecord(end)) {
    const outcome = OUTCOMES.find(known => known === end.outcome) ?? 'OUTCOME_FAILED'
    const httpStatus = count(end.httpStatus, 0, STATUS_MAX) ?? 0
    const ms = within(end.ms, 0, Number.MAX_SAFE_INTEGER) ?? 0
    return { end: { outcome, httpStatus, reason: text(end.reason, NAME_MAX), ms } }
  }
  if (!isRecord(step)) return undefined
  return {
    step: {
      status: text(step.status, NAME_MAX),
      ...given({
        digest: text(step.digest) || undefined,
        totalBytes: bytes(step.totalBytes),
        completedBytes: bytes(step.completedBytes),
      }),
    },
  }
}

/** What it says of its node when it comes: that is what the node is registered with. */
export function introduced({
  slots,
  residentMax,
  labels,
}: Hello): Pick<Hello, 'slots' | 'residentMax' | 'labels'> {
  const said = Object.entries(record(labels)).slice(0, LABELS_MAX)
  return {
    ...given({ slots: count(slots, 1, SLOTS_MAX), residentMax: count(residentMax, 1, SLOTS_MAX) }),
    labels: Object.fromEntries(
      said.map(([name, value]) => [text(name, LABEL_NAME_MAX), text(value, LABEL_MAX)]),
    ),
  }
}

/** What of it is worth a fact: nothing that names one machine among its like, in an order that does not change. */
export function factOf({ os, cpu, memoryBytes, gpus, gpusKnown, disk, container }: Equipment): NodeEquipment {
  const sorted = [...gpus].sort((a, b) => (a.id < b.id ? -1 : a.id > b.id ? 1 : 0))
  return {
    ...(os && { os: { platform: os.platform, name: os.name, arch: os.arch } }),
    ...(cpu && { cpu }),
    ...given({ memoryBytes }),
    gpus: sorted.map(({ vendor, model, memoryBytes, unified }) => ({
      vendor,
      model,
      ...given({ memoryBytes }),
      ...(unified && { unified }),
    })),
    gpusKnown,
    ...(disk && {
      disk: { fileSystem: disk.fileSystem, ...given({ type: disk.type, sizeBytes: disk.sizeBytes }) },
    }),
    container,
  }
}

// ── parts ────────────────────────────────────────────────────────────────────────────────────────────────────────

function identityOf(said: Unsaid): AgentIdentity {
  return {
    node: text(said.node),
    agentVersion: text(said.agentVersion),
    ollamaVersion: text(said.ollamaVersion),
    ollamaUrl: text(said.ollamaUrl, NAME_MAX),
    startedAt: within(said.startedAt, 0, Number.MAX_SAFE_INTEGER) ?? 0,
  }
}

function equipmentOf(said: Unsaid): Equipment {
  const { os, cpu, disk } = said
  return {
    ...(isRecord(os) && {
      os: {
        platform: text(os.platform),
        name: text(os.name),
        kernel: text(os.kernel),
        arch: text(os.arch),
      },
    }),
    ...(isRecord(cpu) && { cpu: { model: text(cpu.model), ...given({ cores: count(cpu.cores, 1) }) } }),
    ...given({ memoryBytes: bytes(said.memoryBytes, 1) }),
    gpus: distinct(listOf(said.gpus, GPUS_MAX)).map(gpu => ({
      id: text(gpu.id),
      vendor: text(gpu.vendor),
      model: text(gpu.model),
      ...given({ memoryBytes: bytes(gpu.memoryBytes, 1) }),
      unified: gpu.unified === true,
      driver: text(gpu.driver),
    })),
    gpusKnown: said.gpusKnown === true,
    ...(isRecord(disk) && {
      disk: {
        mount: text(disk.mount, NAME_MAX),
        fileSystem: text(disk.fileSystem),
        ...given({ type: text(disk.type) || undefined, sizeBytes: bytes(disk.sizeBytes, 1) }),
      },
    }),
    container: said.container === true,
  }
}

function loadOf(said: Unsaid): Load {
  return {
    ...given({
      uptimeS: within(said.uptimeS, 0, UPTIME_MAX),
      cpu: share(said.cpu),
      memoryFreeBytes: bytes(said.memoryFreeBytes),
      swapTotalBytes: bytes(said.swapTotalBytes),
      swapUsedBytes: bytes(said.swapUsedBytes),
      diskFreeBytes: bytes(said.diskFreeBytes),
      receivedBytesPerS: within(said.receivedBytesPerS, 0, BYTES_PER_S_MAX),
      sentBytesPerS: within(said.sentBytesPerS, 0, BYTES_PER_S_MAX),
    }),
    cores: coresOf(said.cores),
    gpus: distinct(listOf(said.gpus, GPUS_MAX)).map(gpuLoadOf),
    inFlight: count(said.inFlight) ?? 0,
  }
}

function gpuLoadOf(said: Unsaid): GpuLoad {
  return {
    id: text(said.id),
    ...given({
      utilisation: share(said.utilisation),
      memoryUsedBytes: bytes(said.memoryUsedBytes),
      temperatureC: within(said.temperatureC, ...CELSIUS),
      powerW: within(said.powerW, 0, WATTS_MAX),
      powerLimitW: within(said.powerLimitW, 0, WATTS_MAX),
      throttled: typeof said.throttled === 'boolean' ? said.throttled : undefined,
    }),
  }
}

/** A core that says nonsense would shift the others: then of none is anything known. */
function coresOf(said: unknown): readonly number[] {
  if (!Array.isArray(said) || said.length > CORES_MAX) return []
  const shares = said.map(share)
  return shares.every(known => known !== undefined) ? shares : []
}

function limitsOf(said: Unsaid): OllamaLimits {
  return given({
    numParallel: count(said.numParallel, 1, SLOTS_MAX),
    maxLoadedModels: count(said.maxLoadedModels, 0, SLOTS_MAX),
    maxQueue: count(said.maxQueue),
    keepAlive: text(said.keepAlive) || undefined,
    contextLength: within(said.contextLength, 0, 2 ** 31),
  })
}

function modelOf(said: Unsaid): ModelHeard {
  const blobs = listOf(said.blobs, CORES_MAX)
  return {
    name: text(said.name, NAME_MAX),
    digest: text(said.digest),
    sizeBytes: bytes(said.sizeBytes) ?? 0,
    blobs: blobs.length,
    missing: blobs.filter(({ present }) => present !== true).length,
  }
}

function copyOf(said: Unsaid): NonNullable<Heard['resident']>['models'][number] {
  return {
    name: text(said.name, NAME_MAX),
    sizeBytes: bytes(said.sizeBytes) ?? 0,
    vramBytes: bytes(said.vramBytes) ?? 0,
    contextLength: within(said.contextLength, 0, 2 ** 31) ?? 0,
    expiresAt: within(said.expiresAt, 0, Number.MAX_SAFE_INTEGER) ?? 0,
  }
}

// ── words and numbers ────────────────────────────────────────────────────────────────────────────────────────────

type Unsaid = Readonly<Record<string, unknown>>

function isRecord(said: unknown): said is Unsaid {
  return typeof said === 'object' && said !== null && !Array.isArray(said)
}

function record(said: unknown): Unsaid {
  return isRecord(said) ? said : {}
}

function listOf(said: unknown, max: number): readonly Unsaid[] {
  return Array.isArray(said) ? said.slice(0, max).filter(isRecord) : []
}

/** Two with one id are one: the first. */
function distinct(gpus: readonly Unsaid[]): readonly Unsaid[] {
  const ids = new Set<unknown>()
  return gpus.filter(({ id }) => !ids.has(id) && ids.add(id))
}

function within(said: unknown, least: number, most: number): number | undefined {
  return typeof said === 'number' && said >= least && said <= most ? said : undefined // NaN is neither
}

function bytes(said: unknown, least = 0): number | undefined {
  const read = within(said, least, BYTES_MAX)
  return read === undefined ? undefined : Math.round(read)
}

function count(said: unknown, least = 0, most = COUNT_MAX): number | undefined {
  return Number.isInteger(said) ? within(said, least, most) : undefined
}

function share(said: unknown): number | undefined {
  const read = within(said, 0, 1 + SHARE_SLACK)
  return read === undefined ? undefined : Math.min(1, read)
}

/** Cut first: whoever says megabytes is not to cost a pass over them. */
function text(said: unknown, max = TEXT_MAX): string {
  if (typeof said !== 'string') return ''
  return said.slice(0, max).replace(/[\p{Cc}\p{Cf}\p{Cs}\p{Co}\u2028\u2029]/gu, '')
}

/** Without what is not known. */
function given<T extends object>(known: T): { [Key in keyof T]?: Exclude<T[Key], undefined> } {
  return Object.fromEntries(Object.entries(known).filter(([, value]) => value !== undefined)) as never
}
