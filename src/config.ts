/**
 * Every knob: its flag, its variable, its default, its parser, its sentence. The only reader of the environment.
 * Read once, frozen, passed down. A flag wins over a variable. Some may be turned later; see live.ts.
 */
import { parseHours } from '../machines/hours.ts'
import { hostIn, isHere } from './address.ts'
import { type KafkaSpec, kafkaSpec, kafkaText } from './brokers.ts'
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
  /** May be turned while the house runs: whoever reads it does so whenever it is needed, and keeps no copy. */
  readonly live?: true
}

/** How to reach a node, as `URL[,name=…][,slots=…][,resident=…][,weight=…][,hours=…][,label.KEY=VALUE]` gives it. */
export interface NodeSpec {
  readonly url: string
  readonly name?: string
  readonly slots?: number
  readonly residentMax?: number
  readonly weight?: number
  readonly hours?: string
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
  grpc: knob({
    flag: 'grpc',
    value: 'HOST:PORT|off',
    default: 'off',
    parse: listener,
    sentence: 'where the journal is offered over gRPC, in plain text: an address of this machine',
  }),
  agents: knob({
    flag: 'agents',
    value: 'HOST:PORT|off',
    default: 'off',
    parse: address,
    sentence: 'where agents of nodes attach, over mutual TLS; `quipu pki init` comes first',
  }),
  insecure: knob({
    flag: 'insecure',
    default: false,
    parse: onOff,
    sentence: 'speak with agents in plain text, on this machine only: to try things out',
  }),
  data: knob({
    flag: 'data',
    value: 'DIR',
    default: './data',
    parse: text,
    sentence: 'folder of the journal; made when it is not there',
  }),
  archiveDir: knob({
    flag: 'archive-dir',
    value: 'DIR',
    default: 'archive',
    parse: text,
    sentence: 'folder of archive files, as seen from the data folder',
  }),
  diskBudgetBytes: knob({
    flag: 'disk-budget',
    value: 'BYTES',
    default: 0,
    parse: bytes,
    sentence:
      'what the data folder may take; at 80 % it warns, beyond it nothing new is taken; 0 is no budget',
    live: true,
  }),
  nodes: knob({
    flag: 'node',
    env: 'QUIPU_NODES',
    value: 'URL[,name=N][,slots=N][,resident=N][,weight=N][,hours=H][,label.K=V]',
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
    sentence:
      'start three simulated nodes when no node is configured, none may attach, and no Ollama answers',
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
  pseudonyms: knob({
    flag: 'pseudonyms',
    value: 'on|off',
    default: false,
    parse: onOff,
    sentence: 'write clients, and who asks for changes, as keyed hashes; the key stays beside the journal',
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
  allowedCallbacks: knob({
    flag: 'allow-callback',
    env: 'QUIPU_ALLOW_CALLBACKS',
    value: 'CIDR',
    default: [] as readonly string[],
    parse: t => [cidr(t)],
    sentence: 'addresses that jobs and webhooks may call, beyond those of the public internet; repeatable',
    list: true,
  }),
  agentCertificateMs: knob({
    flag: 'agent-certificate',
    value: 'DURATION',
    default: 2_592_000_000,
    parse: atLeast(60_000, durationMs),
    sentence: 'how long the certificate of an agent lasts; agents renew it at two thirds of that',
  }),
  queueMax: knob({
    flag: 'queue-max',
    value: 'N',
    default: 512,
    parse: whole(1, 100_000),
    sentence: 'requests that may wait; one more is refused with 503 and Retry-After',
    live: true,
  }),
  clientQueueMax: knob({
    flag: 'client-queue-max',
    value: 'N',
    default: 256,
    parse: whole(1, 100_000),
    sentence: 'requests of one client that may wait; one more is refused with 503 and Retry-After',
    live: true,
  }),
  clientRunningMax: knob({
    flag: 'client-running-max',
    value: 'N',
    default: 100_000,
    parse: whole(1, 100_000),
    sentence: 'requests of one client that may run at once; more of them wait, and let others by',
    live: true,
  }),
  starveMs: knob({
    flag: 'starve-after',
    value: 'DURATION',
    default: 120_000,
    parse: durationMs,
    sentence:
      'wait after which every fourth turn is for those who have waited so long, whatever their priority',
    live: true,
  }),
  waitMaxMs: knob({
    flag: 'wait-max',
    value: 'DURATION',
    default: 600_000,
    parse: durationMs,
    sentence: 'how long a request may wait for a slot before it is refused',
    live: true,
  }),
  attemptsMax: knob({
    flag: 'attempts-max',
    value: 'N',
    default: 3,
    parse: whole(1, 20),
    sentence: 'how often a request is sent to a node in all, while no byte of an answer has come',
    live: true,
  }),
  jobsMax: knob({
    flag: 'jobs-max',
    value: 'N',
    default: 10_000,
    parse: whole(1, 1_000_000),
    sentence: 'jobs that may be open; one more is refused with 503 and Retry-After',
  }),
  jobWaitMaxMs: knob({
    flag: 'job-wait-max',
    value: 'DURATION',
    default: 86_400_000,
    parse: durationMs,
    sentence: 'how long a job may wait for a slot before it is given up',
  }),
  jobAttemptsMax: knob({
    flag: 'job-attempts-max',
    value: 'N',
    default: 5,
    parse: whole(1, 20),
    sentence: 'how often a job is sent to a node in all; two nodes that die of it end it sooner',
  }),
  spoolMaxBytes: knob({
    flag: 'spool-max',
    value: 'BYTES',
    default: 4 * 1024 ** 3,
    parse: bytes,
    sentence: 'room for the bodies and answers of jobs; the oldest that have ended make place for new ones',
  }),
  keepFinishedMs: knob({
    flag: 'keep-finished',
    value: 'DURATION',
    default: 86_400_000,
    parse: durationMs,
    sentence:
      'how long the body and the answer of a job are kept after its end, and its Idempotency-Key with them',
  }),
  snapshotFacts: knob({
    flag: 'snapshot-every',
    value: 'FACTS',
    default: 50_000,
    parse: whole(0, 1_000_000_000),
    sentence:
      'facts after which what the house knows is kept for a fast start; 0: never, and the start replays all',
  }),
  loadMaxMs: knob({
    flag: 'load-max',
    value: 'DURATION',
    default: 1_800_000,
    parse: durationMs,
    sentence: 'how long loading a model may take',
    live: true,
  }),
  probeMs: knob({
    flag: 'probe-every',
    value: 'DURATION',
    default: 5_000,
    parse: atLeast(10, durationMs),
    sentence: 'how often each node is looked at, give or take a fifth',
    live: true,
  }),
  watchMs: knob({
    flag: 'watch-every',
    value: 'DURATION',
    default: 5_000,
    parse: between(1_000, 300_000, durationMs),
    sentence: 'how often agents say how their nodes are, from 1 s to 5 m',
    live: true,
  }),
  lostAfter: knob({
    flag: 'lost-after',
    value: 'N',
    default: 3,
    parse: whole(1, 100),
    sentence: 'looks in a row without an answer until a node counts as lost',
    live: true,
  }),
  suspectMs: knob({
    flag: 'suspect-after',
    value: 'DURATION',
    default: 30_000,
    parse: atLeast(10, durationMs),
    sentence: 'silence of a running request after which its node must prove that it still answers',
    live: true,
  }),
  pulls: knob({
    flag: 'pulls',
    value: 'N',
    default: 1,
    parse: whole(0, 1_000),
    sentence: 'models that are pulled at once, in the whole fleet; 0 begins none',
    live: true,
  }),
  healAfterMs: knob({
    flag: 'heal-after',
    value: 'DURATION',
    default: 60_000,
    parse: durationMs,
    sentence: 'how long a node may be away until its copies of models are made anew elsewhere',
    live: true,
  }),
  batch: knob<'off' | 'exact' | 'on' | 'shares'>({
    flag: 'batch',
    value: 'off|exact|on|shares',
    default: 'on',
    parse: oneOf('off', 'exact', 'on', 'shares'),
    sentence: 'which embedding requests that wait may share one call to a node; docs/operating.md tells',
  }),
  batchMax: knob({
    flag: 'batch-max',
    value: 'N',
    default: 32,
    parse: whole(1, 1_000),
    sentence: 'requests in one such call, and inputs in it',
  }),
  batchMaxBytes: knob({
    flag: 'batch-bytes-max',
    value: 'BYTES',
    default: 256 * 1024,
    parse: bytes,
    sentence: 'bytes of inputs in one such call',
  }),
  bodyMaxBytes: knob({
    flag: 'body-max',
    value: 'BYTES',
    default: 64 * 1024 * 1024,
    parse: bytes,
    sentence: 'largest request body; uploads of blobs have no limit',
    live: true,
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
    live: true,
  }),
  scrubMs: knob({
    flag: 'scrub',
    value: 'DURATION',
    default: 86_400_000,
    parse: durationMs,
    sentence: 'how often the whole journal is read again and verified while the house runs; 0 for never',
    live: true,
  }),
  graceMs: knob({
    flag: 'grace',
    value: 'DURATION',
    default: 5_000,
    parse: durationMs,
    sentence: 'how long answers under way may take to end when the house stops',
    live: true,
  }),
  kafka: knob({
    flag: 'kafka',
    value: 'brokers=HOST:PORT[+…][,topic=T][,sasl=M,user=U,password-file=PATH][,ssl][,ca=PATH]',
    default: undefined as KafkaSpec | undefined,
    parse: t => (t === 'none' ? undefined : kafkaSpec(t)),
    sentence: 'a topic of Kafka that every fact is copied to; docs/operating.md tells',
  }),
  log: knob({
    flag: 'log',
    value: 'LEVEL',
    default: 'warn',
    parse: oneOf('silent', 'error', 'warn', 'info', 'debug'),
    sentence: 'how much to say on stderr: silent, error, warn, info, debug',
  }),
}

export type KnobName = keyof typeof knobs

export const knobNames = Object.keys(knobs) as readonly KnobName[]

export type Config = Readonly<{ [Name in KnobName]: (typeof knobs)[Name]['default'] }> & {
  /** OLLAMA_HOST, where an Ollama is looked for when no node is configured. */
  readonly ollamaHost: string
  /** QUIPU_KAFKA_PASSWORD, where `kafka` names no file. A function, so that nothing that prints a config prints it. */
  readonly kafkaPassword: () => string | undefined
  readonly sources: Readonly<Record<KnobName, Source>>
}

export type Flags = Readonly<Record<string, string | readonly string[] | undefined>>

/** Where a value came from. */
export type Source = 'flag' | 'env' | 'default'

/** Throws a Failure `config.invalid` that names the flag or variable, what it held, and what would be right. */
export function readConfig(flags: Flags = {}, env: NodeJS.ProcessEnv = process.env): Config {
  const config: Record<string, unknown> = {
    ollamaHost: env.OLLAMA_HOST ?? '',
    kafkaPassword: () => env.QUIPU_KAFKA_PASSWORD,
  }
  const sources: Record<string, Source> = {}
  for (const [name, row] of Object.entries(knobs) as [KnobName, Knob<unknown>][]) {
    const found = given(row, flags, env)
    config[name] = found === undefined ? row.default : found.value
    sources[name] = found?.source ?? 'default'
  }
  const { host } = config as unknown as Config
  const split = /^(?:https?:\/\/)?(\[[^\]]+\]|[^:/]*)(?::(\d+))?\/?$/.exec(host)
  if (split !== null) {
    config.host = (split[1] || '127.0.0.1').replace(/^\[|\]$/g, '')
    if (sources.port === 'default' && split[2] !== undefined) {
      config.port = Number(split[2])
      sources.port = sources.host!
    }
  }
  return Object.freeze({ ...config, sources: Object.freeze(sources) }) as unknown as Config
}

/** Ollama's own variables that say how much it takes on. An agent tells them to its house, and reads no others. */
export const ollamaVariables = [
  'OLLAMA_NUM_PARALLEL',
  'OLLAMA_MAX_LOADED_MODELS',
  'OLLAMA_MAX_QUEUE',
  'OLLAMA_KEEP_ALIVE',
  'OLLAMA_CONTEXT_LENGTH',
] as const

export type OllamaVariables = Readonly<Partial<Record<(typeof ollamaVariables)[number], string>>>

/** As this process has them; its Ollama may have been started with others. */
export function ollamaEnvironment(env: NodeJS.ProcessEnv = process.env): OllamaVariables {
  return Object.fromEntries(
    ollamaVariables.flatMap(name => (env[name] === undefined ? [] : [[name, env[name]]])),
  )
}

/** Where the models of an Ollama on this machine are, likeliest first. */
export function modelsFolders(home: string, env: NodeJS.ProcessEnv = process.env): readonly string[] {
  const { OLLAMA_MODELS: told = '' } = env
  return [...(told === '' ? [] : [told]), `${home}/.ollama/models`, '/usr/share/ollama/.ollama/models']
}

/** What the terminal can do, as far as the environment tells; its size and its colours it tells itself. */
export function terminalOf(env: NodeJS.ProcessEnv = process.env): {
  /** Can its cursor be moved? */
  readonly moves: boolean
  readonly unicode: boolean
} {
  const { TERM = '', LC_ALL, LC_CTYPE, LANG } = env
  // As setlocale(3) has it: the first that is set and not empty; none of them is C.
  const locale = LC_ALL || LC_CTYPE || LANG || 'C'
  const moves = process.platform === 'win32' || (TERM !== '' && TERM !== 'dumb')
  return { moves, unicode: process.platform === 'win32' || /utf-?8/i.test(locale) }
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

function atLeast(min: number, parse: (text: string) => number): (text: string) => number {
  return value => {
    if (parse(value) < min) throw new Error(`"${value}" is less than ${min}ms`)
    return parse(value)
  }
}

function between(min: number, max: number, parse: (text: string) => number): (text: string) => number {
  return value => {
    if (parse(value) > max) throw new Error(`"${value}" is more than ${max}ms`)
    return atLeast(min, parse)(value)
  }
}

function port(value: string): number {
  return whole(0, 65_535)(value)
}

/** HOST:PORT, or off. */
function address(value: string): string {
  if (value === 'off' || hostIn(value) !== undefined) return value
  throw new Error(`"${value}" is neither off nor an address such as 127.0.0.1:50051`)
}

/** In plain text, and so for this machine only. */
function listener(value: string): string {
  if (address(value) === 'off' || isHere(value)) return value
  throw new Error(`"${value}" is not on this machine: plain text is for 127.0.0.1, [::1] and localhost only`)
}

function onOff(value: string): boolean {
  if (/^(on|true|1|yes)$/i.test(value)) return true
  if (/^(off|false|0|no)$/i.test(value)) return false
  throw new Error(`"${value}" is neither on nor off`)
}

function oneOf<W extends string>(...words: readonly W[]): (text: string) => W {
  return value => {
    const word = words.find(word => word === value)
    if (word === undefined) throw new Error(`"${value}" is not one of ${words.join(', ')}`)
    return word
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

/** How much of the work a node should get beside one of weight 1. */
export function weight(value: string): number {
  const number = Number(value)
  if (!/^\d+(?:\.\d+)?$/.test(value) || number <= 0 || number > 100) {
    throw new Error(`"${value}" is not a weight: a number above 0 and up to 100, and 1 is what others have`)
  }
  return number
}

/** When a node is wanted. */
export function hours(value: string): string {
  if (parseHours(value) !== undefined) return value
  throw new Error(
    `"${value}" is not hours such as 18:00-08:00, mon-fri@18:00-08:00 or sat-sun, with + between several`,
  )
}

export function nodeSpec(value: string): NodeSpec {
  const [url = '', ...options] = value.split(',')
  const spec: {
    url: string
    name?: string
    slots?: number
    residentMax?: number
    weight?: number
    hours?: string
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
    else if (key === 'weight') spec.weight = weight(held)
    else if (key === 'hours') spec.hours = hours(held)
    else if (key.startsWith('label.')) spec.labels[text(key.slice(6))] = held
    else {
      const known = 'name=…, slots=…, resident=…, weight=…, hours=…, label.KEY=VALUE'
      throw new Error(`"${option}" is not one of ${known}`)
    }
  }
  return spec
}

/** A value as it could be typed. */
export function shown(name: KnobName, value: unknown): string {
  const { value: shape } = knobs[name] as { value?: string }
  if (Array.isArray(value)) {
    return value.length === 0
      ? 'none'
      : value.map(item => (name === 'nodes' ? specText(item) : item)).join(' ')
  }
  if (name === 'kafka') return value === undefined ? 'none' : kafkaText(value as KafkaSpec)
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
