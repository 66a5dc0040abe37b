/**
 * One house per folder. LevelDB's own lock is not enough: where somebody deletes its LOCK file, a second process
 * gets in and both write. So there is a file that says who holds the folder, looked at again while it is held.
 *
 * The file of a killed process is taken over. Whether its process is alive is asked of the kernel by pid and start
 * time (pids come round again; in a container every house is pid 1). Where that cannot be known, because the
 * holder was in another container or before a reboot, LevelDB's lock decides: the kernel drops it with the process.
 */
import { link, readFile, readlink, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Clock } from '../clock.ts'
import { Failure } from '../failure.ts'

export interface Lock {
  /** Still ours? Takes the lock again where the file has vanished. Rejects with `journal.locked`. */
  hold(): Promise<void>
  release(): Promise<void>
}

interface Holder {
  readonly pid: number
  /** ISO 8601, for people. */
  readonly since: string
  /** The boot and pid namespace in which the pid means something, and when the process started; '' where unknown. */
  readonly world: string
  readonly started: string
}

export async function lockFolder(dir: string, clock: Clock): Promise<Lock> {
  const path = join(dir, 'lock')
  const nonce = clock.id()
  const holder: Holder = {
    pid: process.pid,
    since: new Date(clock.now()).toISOString(),
    world: await world(),
    started: await startOf(process.pid),
  }
  const mine = `${JSON.stringify({ ...holder, nonce })}\n`

  /** A link appears with its content or not at all; of two, one fails. */
  async function claim(): Promise<boolean> {
    const draft = `${path}.${nonce}`
    await writeFile(draft, mine)
    try {
      await link(draft, path)
      return true
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
      throw error
    } finally {
      await rm(draft, { force: true })
    }
  }

  async function hold(): Promise<void> {
    // More than one round only where others take and drop the lock at this very moment.
    for (let round = 0; round < 5; round += 1) {
      const found = await readFile(path, 'utf8').catch(() => undefined)
      if (found === mine) return
      if (found !== undefined) {
        const other = parse(found)
        if (other !== undefined && (await alive(other))) throw locked(dir, other)
        await rm(path, { force: true })
      }
      if (await claim()) return
    }
    throw locked(dir)
  }

  await hold()
  return {
    hold,
    async release() {
      if ((await readFile(path, 'utf8').catch(() => '')) === mine) await rm(path, { force: true })
    },
  }
}

export function locked(dir: string, holder?: Holder, cause?: unknown): Failure {
  const who = holder === undefined ? 'another process' : `process ${holder.pid} (since ${holder.since})`
  return new Failure(
    'journal.locked',
    `The journal in ${dir} is in use by ${who}. Stop that house first, or start this one with another folder.`,
    { cause },
  )
}

function parse(text: string): Holder | undefined {
  try {
    const { pid, since, world, started } = JSON.parse(text)
    return Number.isSafeInteger(pid) && pid > 0 ? { pid, since, world, started } : undefined
  } catch {
    return undefined
  }
}

async function alive(holder: Holder): Promise<boolean> {
  if (holder.world !== (await world())) return false
  try {
    process.kill(holder.pid, 0)
  } catch (error) {
    // EPERM: it is there and belongs to somebody else.
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') return false
  }
  const started = await startOf(holder.pid)
  return started !== GONE && (started === '' || holder.started === '' || started === holder.started)
}

const GONE = 'gone'

/** Clock ticks since boot, from /proc/<pid>/stat; '' where there is no such thing, `gone` for a zombie. */
async function startOf(pid: number): Promise<string> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '')
  // The name, in parentheses, may hold spaces and parentheses. State is the 3rd field and the start the 22nd.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  if (fields[0] === 'Z' || fields[0] === 'X') return GONE
  return fields[19] ?? ''
}

async function world(): Promise<string> {
  const boot = await readFile('/proc/sys/kernel/random/boot_id', 'utf8').catch(() => '')
  const pids = await readlink('/proc/self/ns/pid').catch(() => '')
  return `${boot.trim()} ${pids}`.trim()
}
