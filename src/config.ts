/**
 * Every knob: its flag, its variable, its default, its parser, its sentence. The only reader of the environment.
 * Read once, frozen, passed down. A flag wins over a variable.
 */
import { Failure } from './failure.ts'

interface Knob<T> {
  /** `--flag`; the variable is QUIPU_ and the flag in capitals unless `env` says otherwise. */
  readonly flag: string
  readonly env?: string
  /** What the value looks like, for --help; none for a switch. */
  readonly value?: string
  readonly default: T
  readonly parse: (text: string) => T
  readonly sentence: string
  /** May be given more than once; the variable holds them separated by blanks or semicolons. */
  readonly list?: true
}

/** How to reach a node, as `URL[,name=…][,slots=…][,resident=…][,label.KEY=VALUE]` gives it. */
export interface NodeSpec {
  readonly url: string
  readonly name?: string
  readonly slots?: number
  readonly residentMax?: number
  readonly labels: Readonly<Record<string, string>>
}

const knob = <T>(row: Knob<T>): Knob<T> => row

export const knobs = {
  host: knob({
    flag: 'host',
    value: 'ADDR[:PORT]',
    default: '127.0.0.1',
    parse: text,
    sentence: 'address to listen on; verbs that talk to a running house look for it there',
  }),
  port: knob({ flag: 'port', value: 'PORT', default: 11435, parse: port, sentence: 'port to listen on' }),
  data: knob({
    flag: 'data',
    value: 'DIR',
    default: './data',
    parse: text,
    sentence: 'folder of the journal; made when it is not there',
  }),
  nodes: knob({
    flag: 'node',
    env: 'QUIPU_NODES',
    value: 'URL[,name=N][,slots=N][,resident=N][,label.K=V]',
    default: [] as readonly NodeSpec[],
    parse: t => [nodeSpec(t)],
    sentence: 'an Ollama server to send work to; repeatable',
    list: true,
  }),
  embedded: knob({
    flag: 'embedded',
    value: 'on|off',
    default: true,
    parse: onOff,
    sentence: 'start three simulated nodes when no node is configured and no Ollama answers',
  }),
  trust: knob({
    flag: 'trust',
    value: 'CIDR',
    default: [] as readonly string[],
    parse: t => [cidr(t)],
    sentence: 'who may change models and the house when it listens beyond this machine; repeatable',
    list: true,
  }),
  allowedHosts: knob({
    flag: 'allow-host',
    env: 'QUIPU_ALLOW_HOSTS',
    value: 'NAME',
    default: [] as readonly string[],
    parse: t => [t.toLowerCase()],
    sentence: 'a further name this house is called by (Host header); repeatable',
    list: true,
  }),
  origins: knob({
    flag: 'origin',
    env: 'QUIPU_ORIGINS',
    value: 'ORIGIN',
    default: [] as readonly string[],
    parse: t => [t],
    sentence: 'a further web origin that may call, as OLLAMA_ORIGINS (* stands for any text); repeatable',
    list: true,
  }),
  cloud: knob({
    flag: 'cloud',
    value: 'on|off',
    default: false,
    parse: onOff,
    sentence: "let names like x:cloud through to the nodes, on their owners' accounts",
  }),
  linkLocal: knob({
    flag: 'link-local',
    value: 'on|off',
    default: false,
    parse: onOff,
    sentence: 'let nodes have link-local addresses (169.254.0.0/16, fe80::/10)',
  }),
  queueMax: knob({
    flag: 'queue-max',
    value: 'N',
    default: 512,
    parse: whole(1, 100_000),
    sentence: 'requests that may wait; one more is refused with 503 and Retry-After',
  }),
  clientQueueMax: knob({
    flag: 'client-queue-max',
    value: 'N',
    default: 256,
    parse: whole(1, 100_000),
    sentence: 'requests of one client that may wait; one more is refused with 503 and Retry-After',
  }),
  clientRunningMax: knob({
    flag: 'client-running-max',
    value: 'N',
    default: 100_000,
    parse: whole(1, 100_000),
    sentence: 'requests of one client that may run at once; more of them wait, and let others by',
  }),
  starveMs: knob({
    flag: 'starve-after',
    value: 'DURATION',
    default: 120_000,
    parse: durationMs,
    sentence:
      'wait after which every fourth turn is for those who have waited so long, whatever their priority',
  }),
  waitMaxMs: knob({
    flag: 'wait-max',
    value: 'DURATION',
    default: 600_000,
    parse: durationMs,
    sentence: 'how long a request may wait for a slot before it is refused',
  }),
  attemptsMax: knob({
    flag: 'attempts-max',
    value: 'N',
    default: 3,
    parse: whole(1, 20),
    sentence: 'how often a request is sent to a node in all, while no byte of an answer has come',
  }),
  loadMaxMs: knob({
    flag: 'load-max',
    value: 'DURATION',
    default: 1_800_000,
    parse: durationMs,
    sentence: 'how long loading a model may take',
  }),
  probeMs: knob({
    flag: 'probe-every',
    value: 'DURATION',
    default: 5_000,
    parse: durationMs,
    sentence: 'how often each node is looked at, give or take a fifth',
  }),
  lostAfter: knob({
    flag: 'lost-after',
    value: 'N',
    default: 3,
    parse: whole(1, 100),
    sentence: 'looks in a row without an answer until a node counts as lost',
  }),
  suspectMs: knob({
    flag: 'suspect-after',
    value: 'DURATION',
    default: 30_000,
    parse: durationMs,
    sentence: 'silence of a running request after which its node must prove that it still answers',
  }),
  bodyMaxBytes: knob({
    flag: 'body-max',
    value: 'BYTES',
    default: 64 * 1024 * 1024,
    parse: bytes,
    sentence: 'largest request body; uploads of blobs have no limit',
  }),
  connectionsMax: knob({
    flag: 'connections-max',
    value: 'N',
    default: 4_096,
    parse: whole(1, 1_000_000),
    sentence: 'connections of clients at once',
  }),
  slowMove: knob({
    flag: 'slow-move',
    value: 'off|interactive|batch|all',
    default: 'off',
    parse: oneOf('off', 'interactive', 'batch', 'all'),
    sentence: 'class of requests whose answer goes to another node when it begins far too slowly',
  }),
  graceMs: knob({
    flag: 'grace',
    value: 'DURATION',
    default: 5_000,
    parse: durationMs,
    sentence: 'how long answers under way may take to end when the house stops',
  }),
  log: knob({
    flag: 'log',
    value: 'LEVEL',
    default: 'warn',
    parse: oneOf('silent', 'error', 'warn', 'info', 'debug'),
    sentence: 'how much to say on stderr: silent, error, warn, info, debug',
  }),
}

export type Config = Readonly<{ [Name in keyof typeof knobs]: (typeof knobs)[Name]['default'] }> & {
  /** OLLAMA_HOST, where an Ollama is looked for when no node is configured. */
  readonly ollamaHost: string
}

export type Flags = Readonly<Record<string, string | readonly string[] | undefined>>

/** Where a value came from, for `quipu config`. */
export type Source = 'flag' | 'env' | 'default'

/** Throws a Failure `config.invalid` that names the flag or variable, what it held, and what would be right. */
export function readConfig(flags: Flags = {}, env: NodeJS.ProcessEnv = process.env): Config {
  const config: Record<string, unknown> = { ollamaHost: env.OLLAMA_HOST ?? '' }
  for (const [name, row] of Object.entries(knobs) as [string, Knob<unknown>][]) {
    config[name] = given(row, flags, env)?.value ?? row.default
  }
  const { host, port } = config as unknown as Config
  const split = /^(?:https?:\/\/)?(\[[^\]]+\]|[^:/]*)(?::(\d+))?\/?$/.exec(host)
  if (split !== null) {
    config.host = (split[1] || '127.0.0.1').replace(/^\[|\]$/g, '')
    const asked = given(knobs.port as Knob<unknown>, flags, env)
    config.port = asked === undefined && split[2] !== undefined ? Number(split[2]) : port
  }
  return Object.freeze(config) as Config
}

export function sourceOfKnob(
  name: keyof typeof knobs,
  flags: Flags,
  env: NodeJS.ProcessEnv = process.env,
): Source {
  return given(knobs[name] as Knob<unknown>, flags, env)?.source ?? 'default'
}

export function variableOf({ flag, env }: Pick<Knob<unknown>, 'flag' | 'env'>): string {
  return env ?? `QUIPU_${flag.toUpperCase().replaceAll('-', '_')}`
}

function given(
  row: Knob<unknown>,
  flags: Flags,
  env: NodeJS.ProcessEnv,
): { readonly value: unknown; readonly source: Source } | undefined {
  const flag = flags[row.flag]
  const variable = env[variableOf(row)]
  const source = flag !== undefined ? 'flag' : 'env'
  const held = flag ?? (variable === undefined || variable === '' ? undefined : variable)
  if (held === undefined) return undefined
  const texts = typeof held !== 'string' ? held : row.list ? held.split(/[\s;]+/).filter(Boolean) : [held]
  try {
    const values = texts.map(row.parse)
    return { value: row.list ? values.flat() : values.at(-1), source }
  } catch (error) {
    const where = source === 'flag' ? `--${row.flag}` : variableOf(row)
    const why = error instanceof Error ? error.message : String(error)
    throw new Failure('config.invalid', `${where}: ${why} (${row.sentence})`)
  }
}

function text(value: string): string {
  if (value === '') throw new Error('must not be empty')
  return value
}

function whole(min: number, max: number): (text: string) => number {
  return value => {
    const number = Number(value)
    if (!/^\d+$/.test(value) || number < min || number > max) {
      throw new Error(`"${value}" is not a whole number from ${min} to ${max}`)
    }
    return number
  }
}

function port(value: string): number {
  return whole(0, 65_535)(value)
}

function onOff(value: string): boolean {
  if (/^(on|true|1|yes)$/i.test(value)) return true
  if (/^(off|false|0|no)$/i.test(value)) return false
  throw new Error(`"${value}" is neither on nor off`)
}

function oneOf(...words: readonly string[]): (text: string) => string {
  return value => {
    if (!words.includes(value)) throw new Error(`"${value}" is not one of ${words.join(', ')}`)
    return value
  }
}

/** `250ms`, `5s`, `10m`, `1h`; a bare number is milliseconds. */
export function durationMs(value: string): number {
  const found = /^(\d+(?:\.\d+)?)(ms|s|m|h)?$/.exec(value)
  if (found === null) throw new Error(`"${value}" is not a duration such as 250ms, 5s, 10m or 1h`)
  const unit = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 }[found[2] ?? 'ms']!
  return Math.round(Number(found[1]) * unit)
}

function bytes(value: string): number {
  const found = /^(\d+)(?:\s*([kmg])i?b?)?$/i.exec(value)
  if (found === null) throw new Error(`"${value}" is not a size such as 65536, 64M or 1G`)
  return Number(found[1]) * 1024 ** ['', 'k', 'm', 'g'].indexOf((found[2] ?? '').toLowerCase())
}

function cidr(value: string): string {
  if (!/^[0-9a-fA-F.:]+(\/\d{1,3})?$/.test(value))
    throw new Error(`"${value}" is not an address range such as 10.0.0.0/8`)
  return value
}

export function nodeSpec(value: string): NodeSpec {
  const [url = '', ...options] = value.split(',')
  const spec: {
    url: string
    name?: string
    slots?: number
    residentMax?: number
    labels: Record<string, string>
  } = {
    url: /^[a-z]+:\/\//i.test(url) ? url : `http://${url}`,
    labels: {},
  }
  for (const option of options) {
    const [key = '', held = ''] = option.split('=')
    if (key === 'name') spec.name = text(held)
    else if (key === 'slots') spec.slots = whole(1, 1_024)(held)
    else if (key === 'resident') spec.residentMax = whole(1, 1_024)(held)
    else if (key.startsWith('label.')) spec.labels[text(key.slice(6))] = held
    else throw new Error(`"${option}" is not one of name=…, slots=…, resident=…, label.KEY=VALUE`)
  }
  return spec
}
