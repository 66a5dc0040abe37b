/** Is there a journal, and does this Quipu read it? */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Failure } from '../../failure.ts'
import { identify } from '../../journal/folder.ts'
import { bad, ok, type Room } from './finding.ts'

/** What to do, by code. */
const NEXT: Readonly<Record<string, string>> = {
  'journal.missing':
    'Put back what is gone, or the whole folder, from a copy. Do not let LevelDB "repair" it: it guesses.',
  'journal.broken': 'Restore journal.json from a copy of this folder: no other journal has the same.',
  'journal.newer': 'Start the Quipu that wrote it, or a newer one. Nothing is lost.',
}

export const identity: Room = async ({ dir }) => {
  try {
    const id = await identify(dir)
    if (id === undefined) {
      return [
        bad(
          `There is no journal in ${dir}, nor a trace of one.`,
          'Name the right folder; `quipu serve` makes a new one.',
        ),
      ]
    }
    const { createdAt } = JSON.parse(await readFile(join(dir, 'journal.json'), 'utf8'))
    return [ok(`It is the journal ${id}${typeof createdAt === 'string' ? `, made ${createdAt}` : ''}.`)]
  } catch (error) {
    if (!(error instanceof Failure)) throw error
    return [bad(told(error), NEXT[error.code] ?? 'Restore the folder from a copy.')]
  }
}

/** What to do stands beside it, so not in it. */
export function told({ message }: Failure): string {
  return message.replace(/ (Nothing was touched\. )?Restore the folder from a copy\.$/, '')
}
