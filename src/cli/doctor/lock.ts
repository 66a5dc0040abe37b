/** Who has the folder open? */
import { readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { tablesIn } from '../../journal/folder.ts'
import { holderOf } from '../../journal/lock.ts'
import { countOf } from '../quantities.ts'
import { bad, type Finding, ok, type Room, warning } from './finding.ts'

export const lock: Room = async ({ dir }) => {
  const found = await holderOf(dir)
  const inside = await insider(dir)
  if (found !== undefined && found !== 'torn' && found.alive)
    return held(found.holder.pid, found.holder.since, inside)
  if (inside !== undefined) {
    return [
      bad(
        `Process ${inside} has LevelDB's files open, but the file \`lock\` does not say so: somebody has removed it.`,
        `If that is a house, it writes the file anew within a second of writing. Else see what it is: ps ${inside}`,
      ),
    ]
  }
  if (found === undefined) return [ok('No house has the folder open.')]
  const next = 'Nothing to do: the next start takes it over.'
  if (found === 'torn') return [warning('The file `lock` says nothing that makes sense.', next)]
  const { pid, since, died = 0, world } = found.holder
  if (world === 'left') {
    return [
      warning(
        `Houses died with the folder open, ${died} in a row, and the last start found a damaged table.`,
        'See what is said of the tables. Once they are well again, the next start takes it over.',
      ),
    ]
  }
  if (died === 0)
    return [warning(`Process ${pid} had the folder open since ${since}, and died with it.`, next)]
  return [
    warning(
      `Process ${pid} had the folder open since ${since}, and died with it, as did ${countOf(died, 'house')} before it.`,
      'Look for why in its log: a bug ends with exit code 70 and a stack, a lack of memory with SIGKILL (`dmesg`), a ' +
        'damaged table with SIGABRT. The next start looks at the tables first.',
    ),
  ]
}

async function held(pid: number, since: string, inside: number | undefined): Promise<readonly Finding[]> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '')
  if (/^\d+ .*\) [Tt] /s.test(stat)) {
    return [
      bad(
        `Process ${pid} has the folder open since ${since}, and is stopped: it answers nobody.`,
        `Somebody sent it SIGSTOP, or Ctrl-Z. Let it go on: kill -CONT ${pid}`,
      ),
    ]
  }
  if (inside !== undefined && inside !== pid) {
    return [
      bad(
        `Process ${pid} says it has the folder open, but process ${inside} has LevelDB's files: two write to one folder.`,
        'Stop both, then run `quipu audit` on the folder before you start one of them.',
      ),
    ]
  }
  return [ok(`A house has the folder open: process ${pid}, since ${since}.`)]
}

/** The process that holds LevelDB's own lock; undefined where none does, or the system does not tell. */
async function insider(dir: string): Promise<number | undefined> {
  const file = await stat(join(tablesIn(dir), 'LOCK')).catch(() => undefined)
  const text = await readFile('/proc/locks', 'utf8').catch(() => '')
  // 7: POSIX  ADVISORY  WRITE 4711 fd:01:131077 0 EOF
  const line = text.split('\n').find(row => file !== undefined && row.includes(`:${file.ino} `))
  const pid = Number(line?.trim().split(/\s+/)[4])
  // In another pid namespace it has no number here.
  return pid > 0 ? pid : undefined
}
