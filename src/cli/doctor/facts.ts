/**
 * Do the facts open and verify? LevelDB is only let at a copy, for opening rewrites the files; and only in a child
 * process (opening.ts), for some damage makes it abort.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { extname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Failure } from '../../failure.ts'
import { archivesIn } from '../../journal/level.ts'
import { type Copy, takeCopy } from '../copy.ts'
import { countOf, durationOf, timeOf } from '../quantities.ts'
import { progress } from '../terminal.ts'
import { covered } from './archives.ts'
import { bad, type Finding, ok, type Patient, type Room, warning } from './finding.ts'
import type { Opened } from './opening.ts'
import { troubles } from './tables.ts'

/** As long as a copy of the last thousand facts may take on a slow disk; a deep look has the day. */
const LIMIT_MS = 600_000
const DEEP_LIMIT_MS = 86_400_000
/** Clocks of one network differ by so much, and nobody minds. */
const AHEAD_MS = 60_000

const OPENING = fileURLToPath(new URL(`./opening${extname(import.meta.url)}`, import.meta.url))

export const facts: Room = async patient => {
  let copy: Copy | undefined
  try {
    copy = await takeCopy(patient.dir, patient.signal)
    return [...(await marked(patient.dir)), ...(await look(patient, copy.dir))]
  } catch (error) {
    if (!(error instanceof Failure)) throw error
    return [warning(`The facts were not looked at: ${error.message}.`, 'Then run this again.')]
  } finally {
    progress('')
    await copy?.remove()
  }
}

async function look(
  { dir, archiveDir, deep, now, signal }: Patient,
  copy: string,
): Promise<readonly Finding[]> {
  progress(deep ? 'every fact is verified …' : 'the last facts are verified …')
  const child = spawn(process.execPath, [OPENING, copy, deep ? 'all' : 'tail'], {
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: deep ? DEEP_LIMIT_MS : LIMIT_MS,
    signal,
  })
  const said = { out: '', err: '' }
  child.stdout.on('data', text => {
    said.out += text
  })
  child.stderr.on('data', text => {
    said.err += text
  })
  const [code, ended] = await once(child, 'close')
  const dropped = await readFile(join(copy, 'journal', 'LOG'), 'utf8').then(troubles, () => [])
  const drops = dropped.map(line =>
    warning(
      `LevelDB leaves something out when it opens this: "${line.replaceAll(copy, dir)}".`,
      'What a power cut left half written is no loss. What is, is told as bad.',
    ),
  )
  if (code !== 0) return [crashed(ended, said.err.replaceAll(copy, dir)), ...drops]
  const found = JSON.parse(said.out) as Opened
  if (found.ok)
    return [
      ...verified(found, deep, now),
      ...(await trimmed(found.base, archivesIn(dir, archiveDir))),
      ...drops,
    ]
  const says = found.message.replaceAll(copy, dir).replace(/ Restore the folder from a copy\.$/, '')
  return [bad(says, remedies[found.code] ?? 'docs/errors.md tells of it.'), ...drops]
}

const remedies: Readonly<Record<string, string>> = {
  'journal.broken': 'Restore the folder from a copy. `quipu audit` names the first bad fact.',
  'journal.gap':
    'Restore the folder from a copy. To go on without an end that is lost, and only that, delete the file `mark`.',
  'journal.newer': 'Start the Quipu that wrote it, or a newer one. Nothing is lost.',
}

function crashed(signal: string | null, err: string): Finding {
  const [assertion] = /^.*Assertion.*$/m.exec(err) ?? []
  const how = signal === null ? `it ended: ${err.trim().split('\n')[0]}` : `it ended with ${signal}`
  const said = assertion === undefined ? '' : ` (${assertion.trim()})`
  const by = signal === 'SIGTERM' ? 'It took too long' : 'A house would die of this folder'
  return bad(
    `${by}: where the facts were read, ${how}${said}.`,
    'Restore the folder from a copy, and look at the disk.',
  )
}

function* verified(
  { seq, at, verified }: Opened & { ok: true },
  deep: boolean,
  now: number,
): Iterable<Finding> {
  if (seq === 0) return yield ok('The journal is empty, and whole.')
  const last = at === undefined ? '' : `; the last is of ${timeOf(at)}`
  const which = deep
    ? `All ${countOf(verified, 'fact')} verify`
    : `The last ${countOf(verified)} of ${countOf(seq, 'fact')} verify`
  yield ok(`${which}${last}.${deep ? '' : ' --deep looks at all.'}`)
  if (at !== undefined && at > now + AHEAD_MS) {
    yield warning(
      `The newest fact is ${durationOf(at - now)} in the future: this machine's clock was ahead, or is behind now.`,
      'See that time is synchronised (`timedatectl`). No order hangs on it, but deadlines and tables of days do.',
    )
  }
}

/** What is not here any more must be there. */
async function trimmed(base: number, folder: string): Promise<readonly Finding[]> {
  if (base === 0) return []
  const end = await covered(folder)
  if (end >= base) return [ok(`Facts up to ${countOf(base)} were trimmed; they are in archive files.`)]
  const there = end === 0 ? 'none of them is' : `only those up to ${countOf(end)} are`
  return [
    warning(
      `Facts up to ${countOf(base)} were trimmed, and ${there} in ${folder}.`,
      'If the files are elsewhere, say where with --archive-dir. Without them an audit cannot look at those facts.',
    ),
  ]
}

/** The file that says how far the journal had come: without it a lost end looks like an end. */
async function marked(dir: string): Promise<readonly Finding[]> {
  const text = await readFile(join(dir, 'mark'), 'latin1').catch(() => undefined)
  if (text !== undefined && /^\d{16} [\w-]{43}\n$/.test(text)) return []
  const says =
    text === undefined ? 'The file `mark` is gone' : 'The file `mark` says nothing that makes sense'
  return [
    warning(
      `${says}: if the end of the journal is lost, nobody will notice.`,
      'The next start writes it anew. Compare the head with that of your last audit, if you kept it.',
    ),
  ]
}
