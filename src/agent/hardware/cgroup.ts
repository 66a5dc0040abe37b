/**
 * Whether this is a container, and what it may use. Its kernel shows the memory and the processors of the whole machine;
 * what counts is the tightest limit of the control groups that the agent is in, of either version.
 */
import { join } from 'node:path'
import { exists, type Roots, target, text, whole, word } from './files.ts'

export interface Bounds {
  readonly memory?: { readonly limitBytes: number; readonly dir: string; readonly version: 1 | 2 }
  /** In cores, which may be a fraction. */
  readonly cpu?: { readonly cores: number; readonly dir: string; readonly version: 1 | 2 }
}

/** Of the first namespaces, from include/linux/proc_ns.h; every other has a number that was drawn. */
const FIRST_PID = 'pid:[4026531836]'
const FIRST_CGROUP = 'cgroup:[4026531835]'
const ENGINES = /docker|kubepods|libpod|containerd|crio|lxc|garden|podman/

/** A mark that an engine leaves, and namespaces that are not the machine's own: some virtual machines are made of images that hold the mark. */
export async function inContainer({ proc, root }: Roots): Promise<boolean> {
  const [pid, cgroup] = await Promise.all([
    target(join(proc, 'self/ns/pid')),
    target(join(proc, 'self/ns/cgroup')),
  ])
  if (pid === FIRST_PID && cgroup === FIRST_CGROUP)
    return ENGINES.test((await text(join(proc, 'self/cgroup'))) ?? '')
  const marks = await Promise.all([
    exists(join(root, '.dockerenv')),
    exists(join(root, 'run/.containerenv')),
    exists(join(root, 'var/run/secrets/kubernetes.io')),
    text(join(proc, '1/environ')).then(said => said?.split('\0').some(row => /^container=./.test(row))),
    text(join(proc, '1/cgroup')).then(said => ENGINES.test(said ?? '')),
  ])
  return marks.includes(true)
}

/** Version 1 writes this, rounded down to pages, for no limit. */
const NO_LIMIT_BYTES = 2 ** 60

export async function findBounds({ proc, sys }: Roots): Promise<Bounds> {
  const groups = (await text(join(proc, 'self/cgroup'))) ?? ''
  const base = join(sys, 'fs/cgroup')
  let memory: Bounds['memory']
  let cpu: Bounds['cpu']
  const offerMemory = (limitBytes: number | undefined, dir: string, version: 1 | 2): void => {
    if (limitBytes === undefined || limitBytes <= 0 || limitBytes >= NO_LIMIT_BYTES) return
    if (memory === undefined || limitBytes < memory.limitBytes) memory = { limitBytes, dir, version }
  }
  const offerCpu = (
    quota: number | undefined,
    period: number | undefined,
    dir: string,
    version: 1 | 2,
  ): void => {
    if (quota === undefined || period === undefined || !(quota > 0) || !(period > 0)) return
    if (cpu === undefined || quota / period < cpu.cores) cpu = { cores: quota / period, dir, version }
  }
  for (const line of groups.split('\n')) {
    const [, controllers, path] = /^\d+:([^:]*):(\/.*)$/.exec(line) ?? []
    if (controllers === undefined) continue
    for (const step of upwards(path!)) {
      if (controllers === '') {
        const dir = join(base, step)
        offerMemory(await whole(join(dir, 'memory.max')), dir, 2)
        const [quota, period] = ((await word(join(dir, 'cpu.max'))) ?? '').split(' ').map(Number)
        offerCpu(quota, period, dir, 2)
      }
      if (controllers.split(',').includes('memory')) {
        const dir = join(base, 'memory', step)
        offerMemory(await long(join(dir, 'memory.limit_in_bytes')), dir, 1)
      }
      if (controllers.split(',').includes('cpu')) {
        const dir = join(base, 'cpu', step)
        const [quota, period] = await Promise.all(
          ['cpu.cfs_quota_us', 'cpu.cfs_period_us'].map(name => whole(join(dir, name))),
        )
        offerCpu(quota, period, dir, 1)
      }
    }
  }
  return { ...(memory === undefined ? {} : { memory }), ...(cpu === undefined ? {} : { cpu }) }
}

/** Bytes that the group holds and would not give back: its files' caches give way. */
export async function memoryUsed({
  dir,
  version,
}: NonNullable<Bounds['memory']>): Promise<number | undefined> {
  const [used, stat] = await Promise.all([
    whole(join(dir, version === 2 ? 'memory.current' : 'memory.usage_in_bytes')),
    text(join(dir, 'memory.stat')),
  ])
  if (used === undefined) return undefined
  const name = version === 2 ? 'inactive_file' : 'total_inactive_file'
  const gives = Number(new RegExp(`^${name} (\\d+)$`, 'm').exec(stat ?? '')?.[1] ?? 0)
  return Math.max(used - gives, 0)
}

/** Processor time that the group has had, in seconds. */
export async function cpuUsed({ dir, version }: NonNullable<Bounds['cpu']>): Promise<number | undefined> {
  if (version === 2) {
    const us = /^usage_usec (\d+)$/m.exec((await text(join(dir, 'cpu.stat'))) ?? '')?.[1]
    return us === undefined ? undefined : Number(us) / 1e6
  }
  const ns =
    (await whole(join(dir, 'cpuacct.usage'))) ??
    (await whole(join(dir.replace(/\/cpu(?=\/|$)/, '/cpuacct'), 'cpuacct.usage')))
  return ns === undefined ? undefined : ns / 1e9
}

/** The group itself, then those that it is in. */
function* upwards(path: string): Generator<string> {
  const steps = path.split('/').filter(step => step !== '' && step !== '..')
  for (let left = steps.length; left >= 0; left -= 1) yield `/${steps.slice(0, left).join('/')}`
}

/** No limit has 19 digits, which `whole` does not take. */
async function long(path: string): Promise<number | undefined> {
  const said = await word(path)
  return said !== undefined && /^\d+$/.test(said) ? Number(said) : undefined
}
