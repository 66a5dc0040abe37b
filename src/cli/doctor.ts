/** `quipu doctor`: what is wrong with a data folder, and what to do. Changes nothing; a house may be running on it. */
import { systemClock } from '../clock.ts'
import { readConfig } from '../config.ts'
import { Failure } from '../failure.ts'
import { archivesIn } from '../journal/level.ts'
import type { Finding, Patient, Verdict } from './doctor/finding.ts'
import { doors, type RoomName, rooms } from './doctor/rooms.ts'
import { countOf } from './quantities.ts'
import { told } from './settings.ts'
import { interruption } from './signals.ts'
import { plain, progress, say, sayJson, type Tint, tinted } from './terminal.ts'
import { jsonOption, type Verb } from './verb.ts'

export const doctor: Verb = {
  usage: ['doctor'],
  about:
    'Looks at a data folder and says what is wrong with it, what that means, and what to do next: whose it is and who ' +
    "has it open, the room on its disk, LevelDB's files and their checksums, whether the facts open and verify, the " +
    "house's secret and authority, the spool. Changes nothing, and a house may be running on the folder: the facts are read from a " +
    'copy, made in TMPDIR, in a process of their own. Exit code 1 where anything is bad. `quipu audit` looks at the ' +
    'facts alone, and closer.',
  options: {
    ...told({
      data: 'folder of the journal',
      archiveDir: 'folder of archive files, as seen from the data folder',
    }),
    deep: { sentence: 'verify every fact, and not the last thousand only' },
    ...jsonOption,
  },
  examples: [
    ['quipu doctor --data /var/lib/quipu', 'what is wrong there, if anything is'],
    ['quipu doctor --json | jq \'.findings[] | select(.verdict != "ok")\'', 'the same, for another program'],
  ],
  async run({ flags, switches }) {
    const { data: dir, archiveDir } = readConfig(flags)
    const wanted = { archiveDir: archivesIn(dir, archiveDir), deep: switches.has('deep') }
    const findings = await examine({ ...wanted, dir, now: systemClock.now(), signal: interruption() })
    if (switches.has('json')) {
      sayJson({ ok: !findings.some(({ verdict }) => verdict === 'bad'), dir, findings })
    } else tell(dir, findings)
    const first = findings.find(({ verdict }) => verdict === 'bad')
    if (first !== undefined) throw ill(dir, findings)
  },
}

interface Told extends Finding {
  readonly room: RoomName
}

async function examine(patient: Patient): Promise<readonly Told[]> {
  const told: Told[] = []
  for (const room of Object.keys(rooms) as RoomName[]) {
    try {
      const findings = await rooms[room](patient)
      told.push(...findings.map(finding => ({ room, ...finding })))
      if (doors.has(room) && findings.some(({ verdict }) => verdict === 'bad')) break
    } catch (error) {
      if (patient.signal.aborted)
        throw new Failure('doctor.stopped', 'The doctor was stopped before the end.')
      // What the system does not let us see is a finding, too.
      if ((error as NodeJS.ErrnoException).syscall === undefined) throw error
      const says = `This could not be looked at: ${(error as Error).message}.`
      told.push({ room, verdict: 'bad', says, next: 'Run this as the user the house runs as, or as root.' })
    } finally {
      progress('')
    }
  }
  return told
}

const TINTS: Readonly<Record<Verdict, Tint>> = { ok: 'green', warning: 'yellow', bad: 'red' }

function tell(dir: string, findings: readonly Told[]): void {
  const width = Math.max(...findings.map(({ room }) => room.length))
  for (const { verdict, room, says, next } of findings) {
    say(`${tinted(TINTS[verdict], verdict.padEnd(7))}  ${room.padEnd(width)}  ${plain(says)}`)
    if (next !== undefined) say(`${' '.repeat(7 + 2 + width)}  ${tinted('bold', '→')} ${plain(next)}`)
  }
  say()
  const warnings = findings.filter(({ verdict }) => verdict === 'warning').length
  if (findings.some(({ verdict }) => verdict === 'bad')) return
  say(
    warnings === 0
      ? `Nothing is wrong with ${dir}.`
      : `Nothing is bad in ${dir}; ${countOf(warnings, 'thing')} to look at.`,
  )
}

function ill(dir: string, findings: readonly Told[]): Failure {
  const count = findings.filter(({ verdict }) => verdict === 'bad').length
  const what = count === 1 ? 'one thing is' : `${count} things are`
  return new Failure('doctor.ill', `${what} bad in ${dir}; begin with the first of them`)
}
