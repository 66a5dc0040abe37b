/**
 * Apache Kafka itself, one broker in KRaft mode, on loopback: its jars from Maven's central repository, fetched once into
 * a cache of the user's, and Java 17 to run them.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { homedir } from 'node:os'
import { join } from 'node:path'

const VERSION = '4.1.2'
const JAVA = 17
const FETCH_MS = 300_000
const START_MS = 120_000

export const USER = 'quipu'
export const PASSWORD = 'a phrase to pass'

const cache = join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'quipu', `kafka-${VERSION}`)
const jars = join(cache, 'jars')

/** Why there is no broker to be had; undefined when its jars are there, fetched where they were not. */
export function missing(): string | undefined {
  const [, major = '0'] =
    /version "(\d+)/.exec(spawnSync('java', ['-version'], { encoding: 'utf8' }).stderr ?? '') ?? []
  if (Number(major) < JAVA) return `it needs Java ${JAVA}, and there is ${major === '0' ? 'none' : major}`
  if (existsSync(jars)) return undefined
  if (spawnSync('mvn', ['-v']).status !== 0) return 'it needs mvn to fetch its jars'
  mkdirSync(cache, { recursive: true })
  const draft = join(cache, `jars.${process.pid}`)
  writeFileSync(join(cache, 'pom.xml'), pom())
  const goal = 'org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies'
  const options = [
    '-q',
    '-B',
    '-C',
    '-f',
    join(cache, 'pom.xml'),
    `-DoutputDirectory=${draft}`,
    '-DincludeScope=runtime',
  ]
  const { status, stdout } = spawnSync('mvn', [...options, goal], { encoding: 'utf8', timeout: FETCH_MS })
  if (status === 0 && readdirSync(draft).some(name => name.startsWith('kafka_'))) {
    renameSync(draft, jars)
    return undefined
  }
  rmSync(draft, { recursive: true, force: true })
  return `Maven's central repository does not give its jars: ${stdout.trim().split('\n')[0] ?? ''}`
}

function pom(): string {
  const dependency = (group: string, artifact: string, version: string): string =>
    `<dependency><groupId>${group}</groupId><artifactId>${artifact}</artifactId><version>${version}</version></dependency>`
  const needed = [
    dependency('org.apache.kafka', 'kafka_2.13', VERSION),
    dependency('org.slf4j', 'slf4j-simple', '1.7.36'),
  ]
  return `<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion><groupId>quipu</groupId>
<artifactId>broker</artifactId><version>1</version><packaging>pom</packaging>
<dependencies>${needed.join('')}</dependencies></project>\n`
}

export class ApacheBroker {
  readonly #dir: string
  #ports: readonly [plain: number, secure: number, controller: number] = [0, 0, 0]
  #child: ChildProcess | undefined

  /** Everything it keeps goes into `dir`. */
  constructor(dir: string) {
    this.#dir = dir
  }

  get url(): string {
    return `127.0.0.1:${this.#ports[0]}`
  }

  /** TLS, and then SCRAM or PLAIN. */
  get secureUrl(): string {
    return `127.0.0.1:${this.#ports[1]}`
  }

  /** Of the authority behind its certificate, which is itself. */
  get caPath(): string {
    return join(this.#dir, 'ca.pem')
  }

  /** What it said last, where something went wrong. */
  get log(): string {
    return readFileSync(join(this.#dir, 'log'), 'utf8').slice(-2_000)
  }

  async init(): Promise<this> {
    this.#ports = [await freePort(), await freePort(), await freePort()]
    const store = join(this.#dir, 'broker.p12')
    const keys = ['-keystore', store, '-storetype', 'PKCS12', '-storepass', 'changeit', '-alias', 'broker']
    run('keytool', [
      '-genkeypair',
      ...keys,
      '-keyalg',
      'EC',
      '-dname',
      'CN=broker',
      '-ext',
      'SAN=IP:127.0.0.1',
    ])
    writeFileSync(this.caPath, run('keytool', ['-exportcert', '-rfc', ...keys]))
    writeFileSync(join(this.#dir, 'server.properties'), this.#properties(store))
    const scram = ['--add-scram', `SCRAM-SHA-512=[name="${USER}",password="${PASSWORD}"]`]
    const format = [
      'format',
      '--standalone',
      '-t',
      'cXVpcHUtdGVzdC1ydW4tMQ',
      '-c',
      join(this.#dir, 'server.properties'),
    ]
    run('java', [...OPTIONS, 'kafka.tools.StorageTool', ...format, ...scram])
    return this
  }

  async start(): Promise<void> {
    const log = join(this.#dir, 'log')
    const child = spawn('sh', [
      '-c',
      'exec java "$@" >> "$0" 2>&1',
      log,
      ...OPTIONS,
      'kafka.Kafka',
      join(this.#dir, 'server.properties'),
    ])
    this.#child = child
    const late = performance.now() + START_MS
    while (!(await listens(this.#ports[0]))) {
      if (child.exitCode !== null) throw new Error(`the broker ended with ${child.exitCode}: ${this.log}`)
      if (performance.now() > late) throw new Error(`the broker is not up within ${START_MS} ms: ${this.log}`)
      await new Promise(resolve => setTimeout(resolve, 100))
    }
  }

  /** SIGKILL unless it says otherwise; resolves when the process is gone. */
  async stop(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    const child = this.#child
    this.#child = undefined
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
    const gone = once(child, 'exit')
    child.kill(signal)
    await gone
  }

  /** SIGSTOP, or SIGCONT. */
  signal(signal: 'SIGSTOP' | 'SIGCONT'): void {
    this.#child?.kill(signal)
  }

  #properties(store: string): string {
    const [plain, secure, controller] = this.#ports
    const login = 'org.apache.kafka.common.security'
    const settings = {
      'process.roles': 'broker,controller',
      'node.id': 1,
      'controller.quorum.bootstrap.servers': `127.0.0.1:${controller}`,
      listeners: `PLAIN://127.0.0.1:${plain},SECURE://127.0.0.1:${secure},CONTROLLER://127.0.0.1:${controller}`,
      'listener.security.protocol.map': 'PLAIN:PLAINTEXT,SECURE:SASL_SSL,CONTROLLER:PLAINTEXT',
      'inter.broker.listener.name': 'PLAIN',
      'controller.listener.names': 'CONTROLLER',
      'sasl.enabled.mechanisms': 'PLAIN,SCRAM-SHA-512',
      'listener.name.secure.scram-sha-512.sasl.jaas.config': `${login}.scram.ScramLoginModule required;`,
      'listener.name.secure.plain.sasl.jaas.config': `${login}.plain.PlainLoginModule required user_${USER}="${PASSWORD}";`,
      'listener.name.secure.ssl.keystore.location': store,
      'listener.name.secure.ssl.keystore.type': 'PKCS12',
      'listener.name.secure.ssl.keystore.password': 'changeit',
      'log.dirs': join(this.#dir, 'data'),
      'offsets.topic.replication.factor': 1,
      'offsets.topic.num.partitions': 1,
      'transaction.state.log.replication.factor': 1,
      'transaction.state.log.min.isr': 1,
      'group.initial.rebalance.delay.ms': 0,
      'num.network.threads': 2,
      'num.io.threads': 2,
    }
    return Object.entries(settings)
      .map(([name, value]) => `${name}=${value}\n`)
      .join('')
  }
}

/** A small heap, and no time for the last tenth of its speed. */
const OPTIONS = [
  '-Xmx256m',
  '-Xms64m',
  '-XX:+UseSerialGC',
  '-XX:TieredStopAtLevel=1',
  '-Dorg.slf4j.simpleLogger.defaultLogLevel=warn',
  '-cp',
  join(jars, '*'),
]

function run(command: string, args: readonly string[]): string {
  const { status, stdout, stderr } = spawnSync(command, args, { encoding: 'utf8' })
  if (status !== 0) throw new Error(`${command} ended with ${status}: ${stdout}${stderr}`)
  return stdout
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  server.close()
  await once(server, 'close')
  return port
}

function listens(port: number): Promise<boolean> {
  return new Promise(resolve => {
    const socket = connect(port, '127.0.0.1')
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
}
