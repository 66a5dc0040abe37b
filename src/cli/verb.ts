/** What a verb of the command line is, how its arguments are read, and what its --help says. */
import { parseArgs } from 'node:util'
import { systemClock } from '../clock.ts'
import type { Flags } from '../config.ts'
import { Failure } from '../failure.ts'
import { momentIn } from '../moment.ts'
import { nearest } from './nearest.ts'

export interface Option {
  /** What the value looks like; none for a switch. */
  readonly value?: string
  /** What holds when it is not given, as --help says it. */
  readonly fallback?: string
  readonly sentence: string
  /** May be given more than once. */
  readonly list?: true
}

export type Options = Readonly<Record<string, Option>>

export interface Verb {
  /** One line per form, without `quipu` and the options. */
  readonly usage: readonly string[]
  readonly about: string
  readonly options: Options
  /** What to type, and what that does. */
  readonly examples: readonly (readonly [command: string, does: string])[]
  /** How many words may stand beside the options. */
  readonly wordsMax?: number
  /** Goes on when nobody reads any more what it says. */
  readonly endures?: true
  readonly run: (given: Given) => Promise<void>
}

/** What somebody typed after the verb. */
export interface Given {
  readonly words: readonly string[]
  /** Options with a value. */
  readonly flags: Flags
  readonly switches: ReadonlySet<string>
}

export const jsonOption: Options = {
  json: { sentence: 'print JSON for programs instead of text for people' },
}

/** Typed wrongly: exit code 2, and a pointer to --help. */
export function misused(message: string): Failure {
  return new Failure('cli.usage', message)
}

export function readArguments({ options, wordsMax = 0 }: Verb, args: readonly string[]): Given {
  const rows = Object.entries(options).map(([name, { value, list }]) => [
    name,
    { type: value === undefined ? 'boolean' : 'string', ...(list && { multiple: true }) } as const,
  ])
  try {
    const { values, positionals } = parseArgs({
      // -10m is no option but so long ago, and 10m says the same.
      args: args.map(arg => (/^-\d+(\.\d+)?[smhdw]/.test(arg) ? arg.slice(1) : arg)),
      options: Object.fromEntries(rows),
      allowPositionals: true,
    })
    if (positionals.length > wordsMax) throw misused(`"${positionals[wordsMax]}" is one word too many`)
    const given = Object.entries(values) as [string, string | string[] | boolean][]
    return {
      words: positionals,
      flags: Object.fromEntries(given.filter(([, value]) => typeof value !== 'boolean')) as Flags,
      switches: new Set(given.filter(([, value]) => value === true).map(([name]) => name)),
    }
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    if (code === undefined || !code.startsWith('ERR_PARSE_ARGS')) throw error
    if (code !== 'ERR_PARSE_ARGS_UNKNOWN_OPTION') throw misused(firstSentence(message))
    const [, unknown = ''] = /'(-[^']*)'/.exec(message) ?? []
    const meant = nearest(
      unknown,
      Object.keys(options).map(name => `--${name}`),
    )
    throw misused(`there is no option ${unknown}${meant === undefined ? '' : `; did you mean ${meant}?`}`)
  }
}

/** A single value; the last where it was given twice. */
export function textOf({ flags }: Given, name: string): string | undefined {
  const value = flags[name]
  return typeof value === 'object' ? value.at(-1) : value
}

export function listOf({ flags }: Given, name: string): readonly string[] {
  const value = flags[name]
  return typeof value === 'string' ? [value] : (value ?? [])
}

export function wholeOf(given: Given, name: string, max = Number.MAX_SAFE_INTEGER): number | undefined {
  const text = textOf(given, name)
  if (text === undefined) return undefined
  if (!/^\d{1,16}$/.test(text) || Number(text) > max) {
    const most = max === Number.MAX_SAFE_INTEGER ? '' : ` up to ${max}`
    throw misused(`--${name}: "${text}" is not a whole number${most}`)
  }
  return Number(text)
}

/** A time as moment.ts reads it, in this machine's zone; milliseconds since the epoch. */
export function momentOf(given: Given, name: string): number | undefined {
  const text = textOf(given, name)
  if (text === undefined) return undefined
  const at = momentIn(text, { now: systemClock.now(), zone: 'local' })
  if (at !== undefined) return at
  throw misused(
    `--${name}: "${text}" is not a time such as "2026-01-31 09:05", 2026-01-31, or 90m for so long ago`,
  )
}

/** Words out of a few known ones, several with commas. */
export function wordsOf(given: Given, name: string, known: readonly string[]): string | undefined {
  const text = textOf(given, name)
  for (const word of text?.split(',') ?? []) {
    if (known.includes(word)) continue
    const meant = nearest(word, known)
    const hint = meant === undefined ? `known are ${known.join(', ')}` : `did you mean ${meant}?`
    throw misused(`--${name}: there is no ${name} "${word}"; ${hint}`)
  }
  return text
}

export function helpOf(name: string, { usage, about, options, examples }: Verb): string {
  const shown: [string, string][] = Object.entries({ ...options, help: HELP }).map(
    ([flag, { value, sentence, fallback }]) => [
      `--${flag}${value === undefined ? '' : ` ${value}`}`,
      fallback === undefined ? sentence : `${sentence} [${fallback}]`,
    ],
  )
  const [first = name, ...others] = usage
  const lines = [
    `usage: quipu ${first} [options]`,
    ...others.map(form => `       quipu ${form} [options]`),
    '',
    ...wrapped(about, WIDTH),
    '',
    ...pairs(shown),
    '',
    examples.length === 1 ? 'example:' : 'examples:',
    ...examples.flatMap(([command, does]) => [`  ${command}`, `      ${does}`]),
  ]
  return lines.join('\n')
}

const HELP: Option = { sentence: 'print this' }
const WIDTH = 100
/** Where the right side of a pair begins; a longer left side has a line of its own. */
const LEFT = 26

export function pairs(rows: readonly (readonly [string, string])[]): string[] {
  return rows.flatMap(([left, right]) => {
    const [first = '', ...rest] = wrapped(right, WIDTH - LEFT)
    const hung = rest.map(line => ' '.repeat(LEFT) + line)
    if (left.length <= LEFT - 4) return [`  ${left.padEnd(LEFT - 2)}${first}`, ...hung]
    return [`  ${left}`, ' '.repeat(LEFT) + first, ...hung]
  })
}

function wrapped(text: string, width: number): string[] {
  const lines = ['']
  for (const word of text.split(' ')) {
    const line = lines.at(-1)!
    if (line === '') lines[lines.length - 1] = word
    else if (line.length + 1 + word.length <= width) lines[lines.length - 1] = `${line} ${word}`
    else lines.push(word)
  }
  return lines
}

function firstSentence(message: string): string {
  const [first = message] = message.split(/\.\s|\n/)
  return first.replace(/\.$/, '')
}
