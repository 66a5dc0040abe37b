/**
 * Machines to try agents on, that are none: network namespaces of Linux, with cables, NAT, and lines that lose or swallow
 * what is sent. Each is held by a process of its own, and is gone with it; there is nothing to clean up.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { readlinkSync } from 'node:fs'
import type { Test } from 'tap'

export const MAIN = 'src/cli/main.ts'

/** A namespace of its own for whatever is started so, and for what that starts: all of it ends with this one process. */
export const APART = ['--net', '--pid', '--fork', '--kill-child', '--mount-proc'] as const

/** What this machine lacks; undefined where it has everything. */
export function missing(): string | undefined {
  if (process.platform !== 'linux') return 'needs Linux'
  const able = spawnSync('unshare', [...APART, 'sh', '-c', 'ip link set lo up && iptables -L -n'], {
    encoding: 'utf8',
  })
  if (able.error !== undefined) return 'needs unshare(1)'
  if (able.status !== 0) return `needs root, ip(8) and iptables(8): ${able.stderr.trim().split('\n').at(-1)}`
  return spawnSync('nsenter', ['--version']).status === 0 ? undefined : 'needs nsenter(1)'
}

/** A process, and what it said. */
export class Running {
  readonly child: ChildProcess
  #said = ''

  constructor(t: Test, [command = '', ...args]: readonly string[], env: NodeJS.ProcessEnv = process.env) {
    this.child = spawn(command, args, { env, stdio: ['ignore', 'pipe', 'pipe'] })
    for (const stream of [this.child.stdout!, this.child.stderr!]) {
      stream.setEncoding('utf8').on('data', text => {
        this.#said += text
      })
    }
    t.teardown(async () => {
      if (!t.passing()) t.comment(`${args.join(' ')}: ${this.over ? 'over' : 'running'}\n${this.#said}`)
      await this.end('SIGKILL')
    })
  }

  get said(): string {
    return this.#said
  }

  get over(): boolean {
    return this.child.exitCode !== null || this.child.signalCode !== null
  }

  async saw(what: RegExp, withinMs = 20_000): Promise<RegExpExecArray> {
    return until(
      () => {
        const found = what.exec(this.#said)
        if (found === null && this.over) throw new Error(`it ended, and never said ${what}: ${this.#said}`)
        return found ?? undefined
      },
      `it says ${what}`,
      withinMs,
    )
  }

  signal(signal: NodeJS.Signals): void {
    this.child.kill(signal)
  }

  /** Answers with its exit code. */
  async end(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | null> {
    if (!this.over) {
      const exit = once(this.child, 'exit')
      this.child.kill(signal)
      // One that was stopped hears nothing but SIGKILL.
      if (signal !== 'SIGKILL') this.child.kill('SIGCONT')
      await exit
    }
    return this.child.exitCode
  }
}

/** Where processes run, with a network of their own, or that of the test. */
export class Place {
  readonly #holder: ChildProcess | undefined

  private constructor(holder?: ChildProcess) {
    this.#holder = holder
  }

  /** Where the test itself is. */
  static readonly here = new Place()

  static async open(t: Test): Promise<Place> {
    const holder = spawn('unshare', ['--net', 'sleep', 'infinity'], { stdio: 'ignore' })
    t.teardown(() => void holder.kill('SIGKILL'))
    const ours = readlinkSync('/proc/self/ns/net')
    await until(() => readlinkSync(`/proc/${holder.pid}/ns/net`) !== ours || undefined, 'a namespace')
    const place = new Place(holder)
    place.run('ip', 'link', 'set', 'lo', 'up')
    return place
  }

  get pid(): number {
    return this.#holder?.pid ?? process.pid
  }

  run(...command: readonly string[]): string {
    const [name = '', ...args] = this.#within(command)
    const { status, stdout, stderr } = spawnSync(name, args, { encoding: 'utf8' })
    if (status !== 0) throw new Error(`${command.join(' ')}: ${stderr}`)
    return stdout
  }

  begin(t: Test, command: readonly string[], env?: NodeJS.ProcessEnv): Running {
    return new Running(t, this.#within(command), env)
  }

  quipu(t: Test, ...args: readonly string[]): Running {
    return this.begin(t, [process.execPath, MAIN, ...args])
  }

  #within(command: readonly string[]): readonly string[] {
    return this.#holder === undefined ? command : ['nsenter', '-t', String(this.pid), '-n', ...command]
  }
}

let cables = 0

/** A line between two places; `net` is the first three parts of their addresses, .1 and .2. */
export function cable(a: Place, b: Place, net: string): readonly [a: string, b: string] {
  cables += 1
  const ends = [`q${cables}a`, `q${cables}b`] as const
  Place.here.run('ip', 'link', 'add', ends[0], 'type', 'veth', 'peer', 'name', ends[1])
  for (const [i, place] of [a, b].entries()) {
    if (place !== Place.here) Place.here.run('ip', 'link', 'set', ends[i]!, 'netns', String(place.pid))
    place.run('ip', 'addr', 'add', `${net}.${i + 1}/24`, 'dev', ends[i]!)
    place.run('ip', 'link', 'set', ends[i]!, 'up')
  }
  return [`${net}.1`, `${net}.2`]
}

/** Whoever is behind it reaches the outside, as with a router at home; nobody outside reaches them. */
export function translate(router: Place, inside: string): void {
  router.run('sh', '-c', 'echo 1 > /proc/sys/net/ipv4/ip_forward')
  router.run('iptables', '-t', 'nat', '-A', 'POSTROUTING', '-s', `${inside}.0/24`, '-j', 'MASQUERADE')
  const established = ['-m', 'conntrack', '--ctstate', 'ESTABLISHED,RELATED', '-j', 'ACCEPT']
  router.run('iptables', '-A', 'FORWARD', ...established)
  router.run('iptables', '-A', 'FORWARD', '!', '-s', `${inside}.0/24`, '-j', 'DROP')
}

/** Swallows what goes to and comes from a port, all of it or a part, without a word to anybody. Answers with how to stop. */
export function swallow(place: Place, port: number, part = 1): () => void {
  const rules = (['--dport', '--sport'] as const).map(which => [
    ...['INPUT', '-p', 'tcp', which, String(port)],
    ...(part < 1 ? ['-m', 'statistic', '--mode', 'random', '--probability', String(part)] : []),
    ...['-j', 'DROP'],
  ])
  for (const rule of rules) place.run('iptables', '-A', ...rule)
  return () => {
    for (const rule of rules.splice(0)) place.run('iptables', '-D', ...rule)
  }
}

export async function until<T>(
  look: () => T | undefined | Promise<T | undefined>,
  what: string,
  withinMs = 20_000,
): Promise<T> {
  const late = performance.now() + withinMs
  for (;;) {
    const found = await look()
    if (found !== undefined) return found
    if (performance.now() > late) throw new Error(`not within ${withinMs} ms: ${what}`)
    await new Promise(resolve => setTimeout(resolve, 50))
  }
}
