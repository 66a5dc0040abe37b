/**
 * A fleet as people write it down, in YAML (JSON is YAML, too). The only importer of `yaml`.
 *
 *   keepAlive: 5m                  how long an idle model stays in memory
 *   models:                        most asked for first
 *     - name: quill                needed
 *       sizeGb: 5
 *       loadMs: 11500              else 1.5 s, and a disk that reads 500 MB/s
 *       prefillTps: 1500
 *       decodeTps: 40
 *   nodes:
 *     - name: gpu                  needed
 *       count: 3                   gpu-1, gpu-2, gpu-3
 *       slots: 2                   requests at once per model (OLLAMA_NUM_PARALLEL)
 *       resident: 1                models in memory at once (OLLAMA_MAX_LOADED_MODELS)
 *       speed: 0.5                 times the speeds of the models; loads stay as they are
 *       memoryGb: 24               of its GPU: models share it, and what does not fit is slow; else only their number counts
 *       agent: false               a house is not told of that memory
 *       loadMs: 8000               for all its models
 *       weight: 2                  what a house is told of it: as in `quipu nodes add`; also hours, labels
 *       off: sat,sun               when it is away: see calendar.ts; or a list of such times
 *       models: [quill]            what is on its disk; all when not given. Or what is special about each:
 *         # quill: { loadMs: 4000, prefillTps: 800, decodeTps: 25 }
 */
import { Document, isScalar, parse, visit, YAMLParseError } from 'yaml'
import { canonicalName } from '../../machines/name.ts'
import { durationMs } from '../config.ts'
import { Failure } from '../failure.ts'
import { awayOf } from './calendar.ts'
import type { Fleet, FleetModel, FleetNode, Pace } from './fleet.ts'
import { KEEP_ALIVE_MS } from './presets.ts'

const PREFILL_TPS = 1_500
const DECODE_TPS = 40
const SIZE_GB = 5
const LOAD_MS = 1_500
const DISK_BYTES_PER_MS = 500_000
const SLOTS = 1
const RESIDENT = 3
const COUNT_MAX = 1_000

/** Throws a Failure `fleet.unreadable` that names the place, or `fleet.off`. */
export function readFleet(text: string): Fleet {
  const sheet = new Row(parsed(text), 'the fleet', ['keepAlive', 'models', 'nodes'])
  const models = sheet.list('models').map((row, i) => readModel(row, `models[${i}]`))
  if (models.length === 0) throw unreadable('models: there must be at least one')
  const nodes = sheet.list('nodes').flatMap((row, i) => readNodes(row, `nodes[${i}]`, models))
  if (nodes.length === 0) throw unreadable('nodes: there must be at least one')
  unique(models, 'models')
  unique(nodes, 'nodes')
  return { keepAliveMs: sheet.duration('keepAlive', KEEP_ALIVE_MS), models, nodes }
}

/** The text that reads as this fleet; a model, and what is special about it on a node, on one line each. */
export function writeFleet({ keepAliveMs, models, nodes }: Fleet): string {
  const sheet = new Document({
    keepAlive: Number.isFinite(keepAliveMs) ? `${keepAliveMs / 60_000}m` : 'forever',
    models: models.map(({ name, sizeBytes, ...pace }) => ({
      name,
      sizeGb: tidy(sizeBytes / 1e9),
      ...written(pace),
    })),
    nodes: nodes.map(({ name, slots, resident, speed, memoryBytes, agent, models: own, off, terms }) => ({
      name,
      slots,
      resident,
      ...(speed !== 1 && { speed }),
      ...(memoryBytes !== undefined && { memoryGb: tidy(memoryBytes / 1e9) }),
      ...(agent === false && { agent }),
      ...terms,
      ...(off.length > 0 && { off }),
      models: Object.fromEntries([...own].map(([model, pace]) => [model, written(pace)])),
    })),
  })
  visit(sheet, {
    Map(_key, map) {
      const plain = map.items.every(({ value }) => isScalar(value))
      if (plain) map.flow = true
    },
  })
  return sheet.toString({ lineWidth: 0 })
}

function written(pace: Partial<Pace>): Partial<Pace> {
  return Object.fromEntries(Object.entries(pace).map(([key, value]) => [key, tidy(value)]))
}

function tidy(n: number): number {
  return Math.round(n * 100) / 100
}

function parsed(text: string): unknown {
  try {
    return parse(text)
  } catch (error) {
    if (error instanceof YAMLParseError) throw unreadable(error.message.split('\n')[0]!)
    throw error
  }
}

function readModel(value: unknown, where: string): FleetModel {
  const row = new Row(value, where, ['name', 'sizeGb', ...PACE])
  const name = row.model('name')
  const sizeBytes = row.number('sizeGb', SIZE_GB) * 1e9
  return {
    name,
    sizeBytes,
    loadMs: row.number('loadMs', Math.round(LOAD_MS + sizeBytes / DISK_BYTES_PER_MS)),
    prefillTps: row.positive('prefillTps', PREFILL_TPS),
    decodeTps: row.positive('decodeTps', DECODE_TPS),
  }
}

const PACE = ['loadMs', 'prefillTps', 'decodeTps'] as const

function readNodes(value: unknown, where: string, known: readonly FleetModel[]): readonly FleetNode[] {
  const row = new Row(value, where, [
    'name',
    'count',
    'slots',
    'resident',
    'speed',
    'memoryGb',
    'agent',
    'loadMs',
    'off',
    'weight',
    'hours',
    'labels',
    'models',
  ])
  const name = row.text('name')
  const count = row.whole('count', 1, COUNT_MAX)
  const off = row.texts('off')
  awayOf(off, 0, 1)
  const common = row.has('loadMs') ? { loadMs: row.number('loadMs', 0) } : {}
  const node = {
    slots: row.whole('slots', SLOTS, 1_024),
    resident: row.whole('resident', RESIDENT, 1_024),
    speed: row.positive('speed', 1),
    ...(row.has('memoryGb') && { memoryBytes: row.positive('memoryGb', 1) * 1e9 }),
    ...(row.value('agent') === false && { agent: false as const }),
    models: readDisk(row, known, common),
    off,
    ...readTerms(row),
  }
  return Array.from({ length: count }, (_, i) => ({
    name: row.has('count') ? `${name}-${i + 1}` : name,
    ...node,
  }))
}

function readTerms(row: Row): Pick<FleetNode, 'terms'> {
  const terms = {
    ...(row.has('weight') && { weight: row.positive('weight', 1) }),
    ...(row.has('hours') && { hours: String(row.value('hours')) }),
    ...(row.has('labels') && { labels: labelsIn(row) }),
  }
  return Object.keys(terms).length === 0 ? {} : { terms }
}

function labelsIn(row: Row): Readonly<Record<string, string>> {
  const { all } = new Row(row.value('labels'), `${row.where}.labels`)
  return Object.fromEntries(Object.entries(all).map(([name, value]) => [name, String(value)]))
}

function readDisk(
  row: Row,
  known: readonly FleetModel[],
  common: Partial<Pace>,
): ReadonlyMap<string, Partial<Pace>> {
  const disk = new Map<string, Partial<Pace>>()
  const put = (text: string, pace: Partial<Pace>): void => {
    const name = canonicalName(text)
    if (!known.some(model => model.name === name)) {
      throw unreadable(
        `${row.where}.models: "${text}" does not stand under models: of the fleet; add it there`,
      )
    }
    disk.set(name!, { ...common, ...pace })
  }
  const given = row.value('models')
  if (given === undefined) for (const { name } of known) put(name, {})
  else if (Array.isArray(given)) for (const name of given) put(String(name), {})
  else {
    for (const [name, value] of Object.entries(new Row(given, `${row.where}.models`).all)) {
      const special = new Row(value ?? {}, `${row.where}.models.${name}`, PACE)
      const pace: { -readonly [K in keyof Pace]?: number } = {}
      for (const key of PACE) {
        if (special.has(key)) pace[key] = key === 'loadMs' ? special.number(key, 0) : special.positive(key, 1)
      }
      put(name, pace)
    }
  }
  return disk
}

/** One mapping of the sheet; what is wrong in it is named by its place. */
class Row {
  readonly all: Readonly<Record<string, unknown>>
  readonly where: string

  constructor(value: unknown, where: string, keys?: readonly string[]) {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      throw unreadable(`${where}: not a mapping such as { name: … }`)
    }
    this.all = value as Record<string, unknown>
    this.where = where
    for (const key of Object.keys(value)) {
      if (keys !== undefined && !keys.includes(key)) {
        throw unreadable(`${where}: there is no "${key}"; known are ${keys.join(', ')}`)
      }
    }
  }

  has(key: string): boolean {
    return this.value(key) !== undefined
  }

  value(key: string): unknown {
    return this.all[key] ?? undefined
  }

  list(key: string): readonly unknown[] {
    const value = this.value(key) ?? []
    if (!Array.isArray(value)) throw this.wrong(key, 'a list')
    return value
  }

  text(key: string): string {
    const value = this.value(key)
    if (typeof value !== 'string' || !/^[\w][\w.:[\]-]{0,62}$/.test(value)) {
      throw this.wrong(key, 'a name of up to 63 letters, digits and . _ : -')
    }
    return value
  }

  model(key: string): string {
    const name = canonicalName(String(this.value(key) ?? ''))
    if (name === undefined) throw this.wrong(key, 'the name of a model')
    return name
  }

  texts(key: string): readonly string[] {
    const value = this.value(key) ?? []
    return (Array.isArray(value) ? value : [value]).map(String)
  }

  number(key: string, fallback: number): number {
    const value = this.value(key) ?? fallback
    if (typeof value !== 'number' || !(value >= 0) || value === Number.POSITIVE_INFINITY) {
      throw this.wrong(key, 'a number, 0 or more')
    }
    return value
  }

  positive(key: string, fallback: number): number {
    const value = this.number(key, fallback)
    if (value === 0) throw this.wrong(key, 'more than 0')
    return value
  }

  whole(key: string, fallback: number, max: number): number {
    const value = this.number(key, fallback)
    if (!Number.isInteger(value) || value < 1 || value > max)
      throw this.wrong(key, `a whole number from 1 to ${max}`)
    return value
  }

  duration(key: string, fallback: number): number {
    const value = this.value(key) ?? fallback
    if (value === 'forever') return Number.POSITIVE_INFINITY
    try {
      return durationMs(String(value))
    } catch {
      throw this.wrong(key, 'a duration such as 90s, 5m, 1h, or forever')
    }
  }

  wrong(key: string, wanted: string): Failure {
    return unreadable(
      `${this.where}.${key}: ${JSON.stringify(this.value(key)) ?? 'nothing'} is not ${wanted}`,
    )
  }
}

function unique(named: readonly { readonly name: string }[], where: string): void {
  const names = new Set<string>()
  for (const { name } of named) {
    if (names.has(name)) throw unreadable(`${where}: "${name}" stands there twice`)
    names.add(name)
  }
}

function unreadable(why: string): Failure {
  return new Failure('fleet.unreadable', `the fleet cannot be read: ${why}`)
}
