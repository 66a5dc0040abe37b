/**
 * Where a Kafka is, and who we are to it, as
 * `brokers=HOST[:PORT][+HOST[:PORT]…][,topic=T][,sasl=M,user=U[,password-file=PATH]][,ssl][,ca=PATH][,cert=PATH,key=PATH]`
 * says it. A password is never part of it: it is in a file, or in the environment.
 */

export interface KafkaSpec {
  /** `host:port`, at least one. */
  readonly brokers: readonly string[]
  readonly topic: string
  readonly sasl?: {
    readonly mechanism: Mechanism
    readonly user: string
    /** Read anew for every connection, so that a password can be changed while the house runs. */
    readonly passwordFile?: string
  }
  /** Files in PEM. Undefined where the connection is in the clear. */
  readonly ssl?: { readonly ca?: string; readonly cert?: string; readonly key?: string }
}

const MECHANISMS = ['plain', 'scram-sha-256', 'scram-sha-512'] as const
export type Mechanism = (typeof MECHANISMS)[number]

const PORT = 9_092
export const TOPIC = 'quipu.journal'
const KNOWN =
  'brokers=HOST:PORT+…, topic=…, sasl=…, user=…, password-file=PATH, ssl, ca=PATH, cert=PATH, key=PATH'

/** Throws an Error that says what would be right, and repeats nothing that could be a secret. */
export function kafkaSpec(text: string): KafkaSpec {
  const held = new Map<string, string>()
  for (const option of text.split(',')) {
    const at = option.indexOf('=')
    const name = at === -1 ? option : option.slice(0, at)
    if (name === 'password') {
      throw new Error(
        'a password is never given here: write it into a file, and name that with password-file=PATH',
      )
    }
    if (!OPTIONS.has(name)) throw new Error(`"${name}" is not one of ${KNOWN}`)
    if (held.has(name)) throw new Error(`${name} is there twice; several brokers have + between them`)
    if ((name === 'ssl') !== (at === -1))
      throw new Error(`${name} is given as ${name === 'ssl' ? name : `${name}=…`}`)
    if (at !== -1 && at === option.length - 1) throw new Error(`${name} must not be empty`)
    held.set(name, option.slice(at + 1))
  }
  const brokers = held.get('brokers')
  if (brokers === undefined) throw new Error('brokers=HOST:PORT is missing')
  const spec = { brokers: brokers.split('+').map(broker), topic: topic(held.get('topic') ?? TOPIC) }
  return { ...spec, ...sasl(held), ...ssl(held) }
}

/** As it could be typed. There is no secret in it. */
export function kafkaText({ brokers, topic, sasl, ssl }: KafkaSpec): string {
  const options: (readonly [string, string | undefined])[] = [
    ['brokers', brokers.join('+')],
    ['topic', topic],
    ['sasl', sasl?.mechanism],
    ['user', sasl?.user],
    ['password-file', sasl?.passwordFile],
    ['ca', ssl?.ca],
    ['cert', ssl?.cert],
    ['key', ssl?.key],
  ]
  const given = options.filter(([, value]) => value !== undefined).map(([name, value]) => `${name}=${value}`)
  return [...given, ...(ssl === undefined ? [] : ['ssl'])].join(',')
}

const OPTIONS = new Set(['brokers', 'topic', 'sasl', 'user', 'password-file', 'ssl', 'ca', 'cert', 'key'])

function broker(text: string): string {
  const [, host, port = String(PORT)] = /^([\w.-]+)(?::(\d{1,5}))?$/.exec(text) ?? []
  if (host === undefined || Number(port) < 1 || Number(port) > 65_535) {
    throw new Error(`"${text}" is not a broker such as kafka-a:9092 (an IPv6 address needs a name)`)
  }
  return `${host}:${port}`
}

/** Kafka's own rule. */
function topic(text: string): string {
  if (/^[\w.-]{1,249}$/.test(text) && text !== '.' && text !== '..') return text
  throw new Error(`"${text}" is not a topic: letters, digits, dots, hyphens and underscores, up to 249`)
}

function sasl(held: ReadonlyMap<string, string>): Pick<KafkaSpec, 'sasl'> {
  const [said, user, passwordFile] = [held.get('sasl'), held.get('user'), held.get('password-file')]
  if (said === undefined) {
    if (user === undefined && passwordFile === undefined) return {}
    throw new Error(`user and password-file go with sasl=${MECHANISMS.join('|')}`)
  }
  const mechanism = MECHANISMS.find(known => known === said)
  if (mechanism === undefined) throw new Error(`sasl is one of ${MECHANISMS.join(', ')}`)
  if (user === undefined) throw new Error(`sasl=${mechanism} needs user=…`)
  return { sasl: { mechanism, user, ...(passwordFile !== undefined && { passwordFile }) } }
}

function ssl(held: ReadonlyMap<string, string>): Pick<KafkaSpec, 'ssl'> {
  const [ca, cert, key] = [held.get('ca'), held.get('cert'), held.get('key')]
  if ((cert === undefined) !== (key === undefined)) throw new Error('cert and key go together')
  if (ca === undefined && cert === undefined && !held.has('ssl')) return {}
  return {
    ssl: { ...(ca !== undefined && { ca }), ...(cert !== undefined && key !== undefined && { cert, key }) },
  }
}
