/** The knobs of config.ts, as options of a verb and as people read their values. */
import { knobs, type NodeSpec, variableOf } from '../config.ts'
import type { Option, Options } from './verb.ts'

export type KnobName = keyof typeof knobs

export const knobNames = Object.keys(knobs) as readonly KnobName[]

export function knobOptions(...names: readonly KnobName[]): Options {
  return Object.fromEntries(
    names.map((name): [string, Option] => {
      const { flag, value, sentence, list } = knobs[name] as {
        flag: string
        value?: string
        sentence: string
        list?: true
      }
      const shape = value === undefined ? {} : { value }
      const fallback = `${shown(name, knobs[name].default)}; ${variableOf(knobs[name])}`
      return [flag, { sentence, fallback, ...shape, ...(list && { list }) }]
    }),
  )
}

/** The options of every verb that talks to a running house. */
export const houseOptions: Options = told({ host: 'where the house is', port: 'the port it listens on' })

/** Knobs, with sentences that fit the verb. */
export function told(sentences: Readonly<Partial<Record<KnobName, string>>>): Options {
  const names = Object.keys(sentences) as KnobName[]
  const options = Object.entries(knobOptions(...names))
  return Object.fromEntries(
    options.map(([flag, row], i) => [flag, { ...row, sentence: sentences[names[i]!]! }]),
  )
}

/** A value as it could be typed. */
export function shown(name: KnobName, value: unknown): string {
  const { value: shape } = knobs[name] as { value?: string }
  if (Array.isArray(value)) {
    return value.length === 0
      ? 'none'
      : value.map(item => (name === 'nodes' ? specText(item) : item)).join(' ')
  }
  if (typeof value === 'boolean') return value ? 'on' : 'off'
  if (typeof value === 'number' && shape === 'DURATION') return durationText(value)
  if (typeof value === 'number' && shape === 'BYTES') return bytesText(value)
  return String(value)
}

function specText({ url, name, slots, residentMax, labels }: NodeSpec): string {
  const options = [
    ...(name === undefined ? [] : [`name=${name}`]),
    ...(slots === undefined ? [] : [`slots=${slots}`]),
    ...(residentMax === undefined ? [] : [`resident=${residentMax}`]),
    ...Object.entries(labels).map(([key, held]) => `label.${key}=${held}`),
  ]
  return [url, ...options].join(',')
}

function durationText(ms: number): string {
  const units = [
    ['h', 3_600_000],
    ['m', 60_000],
    ['s', 1_000],
  ] as const
  const whole = units.find(([, size]) => ms > 0 && ms % size === 0)
  return whole === undefined ? `${ms}ms` : `${ms / whole[1]}${whole[0]}`
}

function bytesText(bytes: number): string {
  const units = [
    ['G', 1024 ** 3],
    ['M', 1024 ** 2],
    ['K', 1024],
  ] as const
  const whole = units.find(([, size]) => bytes > 0 && bytes % size === 0)
  return whole === undefined ? String(bytes) : `${bytes / whole[1]}${whole[0]}`
}
