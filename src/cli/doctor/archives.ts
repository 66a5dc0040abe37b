/** The archive files: do they open, and does each follow the one before it? With --deep each is read through. */
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { Failure } from '../../failure.ts'
import { identify } from '../../journal/folder.ts'
import { checkSegment, type Heading, openSegment } from '../../journal/segment.ts'
import { countOf } from '../quantities.ts'
import { progress } from '../terminal.ts'
import { bad, type Finding, ok, type Room, warning } from './finding.ts'

const FILE = /^\d{12}-\d{12}\.quipu\.gz$/

export const archives: Room = async ({ dir, archiveDir, deep, signal }) => {
  const journal = (await identify(dir)) ?? ''
  const names = (await readdir(archiveDir).catch(() => [])).filter(name => FILE.test(name)).sort()
  const findings: Finding[] = []
  let before: Heading | undefined
  for (const name of names) {
    signal.throwIfAborted()
    progress(`${name} …`)
    const read = await headingOf(join(archiveDir, name), journal, deep).catch(error => {
      if (!(error instanceof Failure)) throw error
      return error
    })
    if (read instanceof Failure) {
      findings.push(bad(read.message, 'Put that file back from a copy. What is not read from it goes on.'))
      before = undefined
      continue
    }
    const hole = before !== undefined && (read.first !== before.last + 1 || read.before !== before.hash)
    if (hole) {
      const says = `${join(archiveDir, name)} does not follow ${countOf(before!.last, 'fact')}, where the file before it ends.`
      findings.push(
        warning(says, 'Put back the file between them. The facts in it are needed by audits and looks back.'),
      )
    }
    before = read
  }
  if (findings.length > 0 || before === undefined) return findings
  const whole = deep ? ', each read through' : ''
  return [ok(`${countOf(names.length, 'archive file')} up to fact ${countOf(before.last)}${whole}.`)]
}

async function headingOf(path: string, journal: string, deep: boolean): Promise<Heading> {
  const segment = await openSegment(path, journal)
  await segment.close()
  return deep ? checkSegment(path, journal, segment.heading) : segment.heading
}

/** Up to which fact the files go without a hole, from the first fact on. */
export async function covered(archiveDir: string): Promise<number> {
  let last = 0
  for (const name of (await readdir(archiveDir).catch(() => [])).filter(name => FILE.test(name)).sort()) {
    const [first = 0, end = 0] = name.split(/[-.]/).map(Number)
    if (first !== last + 1) break
    last = end
  }
  return last
}
