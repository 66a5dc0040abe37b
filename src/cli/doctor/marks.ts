/** How far named subscriptions are. A lost mark is no loss: its readers see facts again. */
import { systemClock } from '../../clock.ts'
import { identify } from '../../journal/folder.ts'
import { marksIn } from '../../subscriptions/marks.ts'
import { type Finding, type Room, warning } from './finding.ts'

export const marks: Room = async ({ dir }) => {
  const findings: Finding[] = []
  const id = (await identify(dir)) ?? ''
  const warn = (says: string): void => {
    findings.push(warning(`${says}.`, 'Nothing to do: their readers see facts a second time.'))
  }
  await marksIn({ dir, clock: systemClock, journal: { id }, warn }).open()
  return findings
}
