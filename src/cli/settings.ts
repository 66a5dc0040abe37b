/** The knobs of config.ts as options of a verb. */
import { type KnobName, knobs, shown, variableOf } from '../config.ts'
import type { Option, Options } from './verb.ts'

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
