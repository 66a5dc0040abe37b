/**
 * What AMD's own programs tell, for what the driver does not show: amd-smi, and its forerunner rocm-smi. Both are Python,
 * and take half a second of a processor, so they are asked only for what is missing, and for names only once.
 */
import type { Found } from './gpus.ts'
import { MEBIBYTE } from './gpus.ts'
import { known } from './proc.ts'
import type { Tools } from './tools.ts'

/** By PCI address, in lower case. */
export type Told = ReadonlyMap<
  string,
  {
    readonly model?: string
    readonly memoryBytes?: number
    readonly memoryUsedBytes?: number
    readonly utilisation?: number
    readonly temperatureC?: number
    readonly powerW?: number
    readonly throttled?: boolean
  }
>

export async function askAmd(tools: Tools, signal: AbortSignal): Promise<Told | undefined> {
  if ((await tools.find('amd-smi')) !== undefined) {
    const list = await tools.run('amd-smi', ['static', '--asic', '--bus', '--vram', '--json'], signal)
    const metric = await tools.run('amd-smi', ['metric', '--json'], signal)
    const told = parseAmdSmi(list.stdout, metric.stdout)
    if (told.size > 0) return told
  }
  if ((await tools.find('rocm-smi')) !== undefined) {
    const wanted = ['--showbus', '--showproductname', '--showmeminfo', 'vram', '--showuse', '--showtemp']
    const { stdout } = await tools.run('rocm-smi', [...wanted, '--showpower', '--json'], signal)
    return parseRocmSmi(stdout)
  }
  return undefined
}

/** What is there, and where something is not, what was told. */
export function ekeOut({ gpus, loads, known: all }: Found, told: Told): Found {
  return {
    gpus: gpus.map(gpu => {
      const { model, memoryBytes } = told.get(gpu.id) ?? {}
      // What a processor's GPU may have of the machine's memory, they do not tell.
      const more = gpu.unified ? {} : known({ memoryBytes: gpu.memoryBytes ?? memoryBytes })
      return { ...gpu, model: gpu.model || (model ?? ''), ...more }
    }),
    loads: loads.map(load => {
      const { model: _, memoryBytes: __, ...more } = told.get(load.id) ?? {}
      return { ...more, ...load }
    }),
    known: all,
  }
}

/** `amd-smi static --json` and `amd-smi metric --json`: a list, or since ROCm 7 an object with one. */
export function parseAmdSmi(list: string, metric: string): Told {
  const metrics = new Map(rows(metric).map(row => [row['gpu'], row]))
  const told = new Map<string, Told extends ReadonlyMap<string, infer V> ? V : never>()
  for (const row of rows(list)) {
    const address = at(row, 'bus', 'bdf')
    if (typeof address !== 'string') continue
    const now = metrics.get(row['gpu'])
    const name = at(row, 'asic', 'market_name')
    const status = at(now, 'power', 'throttle_status')
    const percent = measured(at(now, 'usage', 'gfx_activity'))
    told.set(
      address.toLowerCase(),
      known({
        model: typeof name === 'string' && name !== 'N/A' ? name : undefined,
        memoryBytes: mebibytes(at(row, 'vram', 'size')) ?? mebibytes(at(now, 'mem_usage', 'total_vram')),
        memoryUsedBytes: mebibytes(at(now, 'mem_usage', 'used_vram')),
        utilisation: percent === undefined ? undefined : Math.min(percent / 100, 1),
        temperatureC: measured(at(now, 'temperature', 'edge')) ?? measured(at(now, 'temperature', 'hotspot')),
        powerW: measured(at(now, 'power', 'socket_power')),
        throttled: status === 'UNTHROTTLED' ? false : status === 'THROTTLED' ? true : undefined,
      }),
    )
  }
  return told
}

/** `rocm-smi --json`: an object a card, whose keys have changed their wording over the versions, and all values are text. */
export function parseRocmSmi(text: string): Told {
  const told = new Map<string, Told extends ReadonlyMap<string, infer V> ? V : never>()
  const cards = json(text)
  if (typeof cards !== 'object' || cards === null) return told
  for (const card of Object.values(cards) as unknown[]) {
    if (typeof card !== 'object' || card === null) continue
    const say = (pattern: RegExp): string | undefined =>
      Object.entries(card).find(([key, value]) => pattern.test(key) && typeof value === 'string')?.[1]
    const address = say(/^PCI Bus$/i)
    if (address === undefined) continue
    const percent = number(say(/^GPU use \(%\)$/i))
    const series = say(/^Card series$/i)
    told.set(
      address.toLowerCase(),
      known({
        model: series === undefined || /^(?:N\/A|unknown|0x)/i.test(series) ? undefined : series,
        memoryBytes: number(say(/^VRAM Total Memory \(B\)$/i)),
        memoryUsedBytes: number(say(/^VRAM Total Used Memory \(B\)$/i)),
        utilisation: percent === undefined ? undefined : Math.min(percent / 100, 1),
        temperatureC: number(
          say(/^Temperature \(Sensor edge\) \(C\)$/i) ?? say(/^Temperature \(Sensor junction\) \(C\)$/i),
        ),
        powerW: number(say(/^(?:Average|Current Socket) Graphics Package Power \(W\)$/i)),
      }),
    )
  }
  return told
}

/** Warnings come before, on the same stream: JSON begins with the first line that looks like it. */
function json(text: string): unknown {
  const from = text.search(/^[[{]/m)
  try {
    return from === -1 ? undefined : JSON.parse(text.slice(from))
  } catch {
    return undefined
  }
}

function rows(text: string): readonly Record<string, unknown>[] {
  const said = json(text)
  const list = Array.isArray(said) ? said : at(said, 'gpu_data')
  return Array.isArray(list) ? list.filter(row => typeof row === 'object' && row !== null) : []
}

function at(value: unknown, ...path: readonly string[]): unknown {
  return path.reduce<unknown>(
    (found, key) =>
      typeof found === 'object' && found !== null ? (found as Record<string, unknown>)[key] : undefined,
    value,
  )
}

/** `{ "value": 42, "unit": "%" }`, or `"N/A"`. */
function measured(value: unknown): number | undefined {
  const figure = at(value, 'value')
  return typeof figure === 'number' && Number.isFinite(figure) ? figure : undefined
}

function mebibytes(value: unknown): number | undefined {
  const figure = measured(value)
  if (figure === undefined) return undefined
  return figure * (at(value, 'unit') === 'GB' ? 1_024 : 1) * MEBIBYTE
}

function number(text: string | undefined): number | undefined {
  return text !== undefined && /^\d{1,18}(?:\.\d+)?$/.test(text.trim()) ? Number(text) : undefined
}
