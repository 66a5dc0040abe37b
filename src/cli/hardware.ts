/** What an agent told of its machine, as people read it. Pure. What was not told is unknown, and never 0. */
import type { NodeStatus } from '../gateway/schema/agents.ts'
import type { Node } from '../gateway/schema/nodes.ts'
import type { Told } from '../gateway/schema/words.ts'
import { type Bars, barOf } from './bars.ts'
import { countOf, durationOf, sizeOf } from './quantities.ts'

/** GET /quipu/nodes/:name/status, as much of it as is drawn. */
export type Heard = Pick<Told<typeof NodeStatus>, 'agent' | 'sentence' | 'throttled' | 'ageMs' | 'status'>
type Status = NonNullable<Heard['status']>
type Equipment = NonNullable<Status['equipment']>
type GpuLoad = NonNullable<Status['load']>['gpus'][number]

/** What of it a row of GET /quipu/nodes has. */
export type Gauges = NonNullable<Told<typeof Node>['hardware']>

/** `2 × RTX 4090`, `none`, `unknown`: for a column. */
export function gpusOf(gpus: readonly string[] | undefined): string {
  if (gpus === undefined) return 'unknown'
  const kinds = new Map<string, number>()
  for (const name of gpus) kinds.set(name, (kinds.get(name) ?? 0) + 1)
  return [...kinds].map(([name, n]) => (n === 1 ? name : `${n} × ${name}`)).join(', ') || 'none'
}

/** The part that is used, where both are known. */
export function usedOf(total: number | undefined, used: number | undefined): number | undefined {
  return total === undefined || total === 0 || used === undefined ? undefined : used / total
}

type Lines = readonly (readonly [name: string, held: string])[]

/** A line without a name belongs to the one before. `now` by the clock that the house goes by. */
export function hardwareLines(heard: Heard, now: number, bars: Bars): Lines {
  const { agent, sentence, throttled, ageMs, status } = heard
  const held =
    throttled === undefined
      ? []
      : [['throttled', `${throttled.cause}, for ${durationOf(Math.max(0, now - throttled.since))}`] as const]
  if (status === undefined) return [['agent', sentence], ...held]
  const { identity, equipment, load, limits } = status
  const { os, cpu, disk, memoryBytes } = equipment ?? {}
  const taken =
    memoryBytes === undefined || load?.memoryFreeBytes === undefined
      ? undefined
      : memoryBytes - load.memoryFreeBytes
  return [
    ['agent', agent === 'up' ? agentOf(status) : `${agentOf(status)}; ${sentence}`],
    ...held,
    ['read', ageMs === undefined ? 'unknown when' : `${durationOf(ageMs)} ago`],
    [
      'Ollama',
      `${identity?.ollamaVersion || 'unknown'}${identity?.ollamaUrl ? `, ${identity.ollamaUrl}` : ''}`,
    ],
    [
      'system',
      os === undefined
        ? 'unknown'
        : `${os.name || os.platform}, ${os.kernel}, ${os.arch}${equipment?.container ? ', in a container' : ''}`,
    ],
    ['uptime', load?.uptimeS === undefined ? 'unknown' : durationOf(load.uptimeS * 1_000)],
    ['CPU', `${share(load?.cpu, bars)}  ${cpuOf(cpu)}`],
    ...coresOf(load?.cores ?? [], bars),
    ['RAM', filled(taken, memoryBytes, bars)],
    ...swapOf(load?.swapUsedBytes, load?.swapTotalBytes, bars),
    ...gpuLines(status, bars),
    ['disk', diskOf(disk, load?.diskFreeBytes, bars)],
    ['network', `in ${rate(load?.receivedBytesPerS)}, out ${rate(load?.sentBytesPerS)}`],
    ['carries', load === undefined ? 'unknown' : `${countOf(load.inFlight, 'call')} to Ollama`],
    ['limits', limitsOf(limits)],
  ]
}

function agentOf({ identity, at }: Status): string {
  if (identity === undefined) return 'unknown'
  return `${identity.agentVersion || 'unknown'}, up ${durationOf(Math.max(0, at - identity.startedAt))}`
}

function cpuOf(cpu: Equipment['cpu']): string {
  const cores = cpu?.cores === undefined ? '? cores' : `${cpu.cores} cores`
  return `${cores}, ${cpu?.model || 'model unknown'}`
}

/** A letter high for each core: which is busy is seen at once. */
function coresOf(cores: readonly number[], { steps }: Bars): [string, string][] {
  if (cores.length === 0) return []
  const drawn = cores.map(core => steps[Math.round(within(core) * (steps.length - 1))]!)
  const lines: [string, string][] = []
  for (let i = 0; i < drawn.length; i += CORES_A_LINE)
    lines.push([i === 0 ? 'cores' : '', drawn.slice(i, i + CORES_A_LINE).join('')])
  return lines
}

const CORES_A_LINE = 64

function swapOf(used: number | undefined, total: number | undefined, bars: Bars): Lines {
  return total === 0 ? [['swap', 'none']] : [['swap', filled(used, total, bars)]]
}

function gpuLines({ equipment, load }: Status, bars: Bars): Lines {
  const { gpus = [], gpusKnown = false } = equipment ?? {}
  if (gpus.length === 0) return [['GPU', gpusKnown ? 'none' : 'unknown']]
  const lines = gpus.flatMap((gpu, i): (readonly [string, string])[] => {
    const name = gpus.length === 1 ? 'GPU' : `GPU ${i}`
    const now = load?.gpus.find(({ id }) => id === gpu.id)
    const model = [gpu.model || gpu.vendor, gpu.driver && `driver ${gpu.driver}`].filter(Boolean).join(', ')
    const memory = filled(now?.memoryUsedBytes, gpu.memoryBytes, bars)
    return [
      [name, `${share(now?.utilisation, bars)}  ${model}`],
      ['', `${memory}${gpu.unified ? " of the machine's memory" : ''}${warmth(now, bars)}`],
    ]
  })
  return gpusKnown ? lines : [...lines, ['', 'there may be others']]
}

function warmth(now: GpuLoad | undefined, { degree }: Bars): string {
  const { temperatureC, powerW, powerLimitW, throttled } = now ?? {}
  return [
    temperatureC === undefined ? '' : `, ${Math.round(temperatureC)}${degree}`,
    powerW === undefined
      ? ''
      : `, ${Math.round(powerW)}${powerLimitW === undefined ? '' : ` of ${Math.round(powerLimitW)}`} W`,
    throttled === true ? ', THROTTLED' : '',
  ].join('')
}

function diskOf(disk: Equipment['disk'], free: number | undefined, bars: Bars): string {
  if (disk === undefined) return free === undefined ? 'unknown' : `${sizeOf(free)} free`
  const used = disk.sizeBytes === undefined || free === undefined ? undefined : disk.sizeBytes - free
  const kind = [disk.type, disk.fileSystem, `at ${disk.mount}`].filter(Boolean).join(' ')
  const left = free === undefined ? '' : `, ${sizeOf(free)} free`
  return `${filled(used, disk.sizeBytes, bars)}${left}, ${kind}`
}

function limitsOf(limits: Status['limits']): string {
  const told = [
    ['requests at once', limits?.numParallel],
    ['models in memory', limits?.maxLoadedModels],
    ['in its queue', limits?.maxQueue],
    ['keep alive', limits?.keepAlive],
    ['context', limits?.contextLength],
  ] as const
  const known = told.filter(([, value]) => value !== undefined)
  return known.length === 0 ? 'unknown' : known.map(([name, value]) => `${name} ${value}`).join(', ')
}

function share(part: number | undefined, bars: Bars): string {
  return part === undefined
    ? `${bars.empty.repeat(BAR)}   ?  `
    : `${barOf(part, BAR, bars)} ${percent(part).padStart(5)}`
}

function filled(used: number | undefined, total: number | undefined, bars: Bars): string {
  const part = usedOf(total, used)
  const amount =
    total === undefined ? 'unknown' : `${used === undefined ? '?' : sizeOf(used)} of ${sizeOf(total)}`
  return `${share(part, bars)}  ${amount}`
}

const BAR = 12

/** `45 %`; a thing that runs a little is not at rest. */
export function percent(part: number): string {
  const figure = within(part) * 100
  return figure > 0 && figure < 1 ? '<1 %' : `${Math.round(figure)} %`
}

const rate = (bytes: number | undefined): string => (bytes === undefined ? 'unknown' : `${sizeOf(bytes)}/s`)
const within = (part: number): number => Math.min(Math.max(part, 0), 1)
