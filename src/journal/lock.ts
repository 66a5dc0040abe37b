/**
 * One house per folder. LevelDB's own lock is not enough: where somebody deletes its LOCK file, a second process
 * gets in and both write. So there is a file that says who holds the folder, looked at again while it is held.
 *
 * The file of a killed process is taken over. Whether its process is alive is asked of the kernel by pid and start
 * time (pids come round again; in a container every house is pid 1). Where that cannot be known, because the
 * holder was in another container or before a reboot, LevelDB's lock decides: the kernel drops it with the process.
 *
 * Who takes over from a process that died counts that, and whoever takes over from that one goes on counting: a house
 * that dies of what is in the folder would otherwise be started for ever (level.ts).
 */
import { link, readFile, readlink, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Clock } from '../clock.ts'
import { Failure } from '../failure.ts'

export interface Lock {
  /** How many in a row have held the folder before, and died with it. */
  readonly died: number
  /** Still ours? Takes the lock again where the file has vanished. Rejects with `journal.locked`. */
  hold(): Promise<void>
  release(): Promise<void>
  /** Lets go as one that died would: the count goes on. */
  leave(): Promise<void>
}

export interface Holder {
  readonly pid: number
  /** ISO 8601, for people. */
  readonly since: string
  /** The boot and pid namespace in which the pid means something, and when the process started; '' where unknown. */
  readonly world: string
  readonly started: string
  /** How many before it died; none in the files of 0.2. */
  readonly died?: number
}

export async function lockFolder(dir: string, clock: Clock): Promise<Lock> {
  const path = join(dir, 'lock')
  const nonce = clock.id()
  let died = 0
  const holder: Holder = {
    pid: process.pid,
    since: new Date(clock.now()).toISOString(),
    world: await world(),
    started: await startOf(process.pid),
  }
  const file = (more: Partial<Holder>): string => `${JSON.stringify({ ...holder, ...more, nonce })}\n`
  let mine = file({})

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
        died = (other?.died ?? 0) + 1
        mine = file({ died })
        await rm(path, { force: true })
      }
      if (await claim()) return
    }
    throw locked(dir)
  }

  await hold()
  const ours = async (): Promise<boolean> => (await readFile(path, 'utf8').catch(() => '')) === mine
  return {
    get died() {
      return died
    },
    hold,
    async release() {
      if (await ours()) await rm(path, { force: true })
    },
    async leave() {
      if (!(await ours())) return
      const draft = `${path}.${nonce}`
      await writeFile(draft, file({ died, world: 'left' }))
      await rename(draft, path)
    },
  }
}

/** Whose file it is, and whether that process is there; undefined where there is none, `torn` where it says nothing. */
export async function holderOf(
  dir: string,
): Promise<{ readonly holder: Holder; readonly alive: boolean } | 'torn' | undefined> {
  const text = await readFile(join(dir, 'lock'), 'utf8').catch(() => undefined)
  if (text === undefined) return undefined
  const holder = parse(text)
  return holder === undefined ? 'torn' : { holder, alive: await alive(holder) }
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
    const { pid, since, world, started, died } = JSON.parse(text)
    if (!Number.isSafeInteger(pid) || pid <= 0) return undefined
    return { pid, since, world, started, died: Number.isSafeInteger(died) ? died : 0 }
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
