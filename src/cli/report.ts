/** `quipu audit --report FILE`: what the audited journal comes to, as a page for people or as JSON. */
import { writeFile } from 'node:fs/promises'
import { Failure } from '../failure.ts'
import { Damage } from '../journal/damage.ts'
import { identify } from '../journal/folder.ts'
import type { Head } from '../journal/journal.ts'
import { pageOf } from '../report/page.ts'
import { type Finding, reportOf } from '../report/report.ts'
import { Tally } from '../report/tally.ts'
import { type Given, misused, type Options, textOf } from './verb.ts'
import type { Onlooker } from './verification.ts'

export const reportOption: Options = {
  report: {
    value: 'FILE.html|FILE.json',
    sentence:
      'write who did what: per client, per model, per node, changes, who was turned away; the same journal gives the same file',
  },
}

export interface Account {
  readonly onlookers: readonly Onlooker[]
  write(findings: { readonly id: string; readonly head: Head }): Promise<void>
  /** Of what verifies, and what is wrong with the rest. */
  writeDamaged(dir: string, damage: Failure): Promise<void>
}

export function reporting(given: Given): Account {
  const file = textOf(given, 'report')
  if (file === undefined) return { onlookers: [], write: async () => {}, writeDamaged: async () => {} }
  if (!/\.(html?|json)$/.test(file))
    throw misused(`--report: "${file}" ends neither with .html nor with .json`)
  const tally = new Tally()
  async function put(finding: Finding): Promise<void> {
    const report = reportOf(tally, finding)
    const text = file!.endsWith('.json') ? `${JSON.stringify(report, null, 2)}\n` : pageOf(report)
    await writeFile(file!, text).catch((error: Error) => {
      throw new Failure('audit.report', `the report cannot be written: ${error.message}`, { cause: error })
    })
  }
  return {
    onlookers: [tally],
    write: ({ id, head }) => put({ id, head }),
    async writeDamaged(dir, damage) {
      const { code, message } = damage
      const seq = damage instanceof Damage ? (damage.seq ?? null) : null
      const id = await identify(dir).catch(() => undefined)
      const { seq: to = 0, hash = '' } = tally.last ?? {}
      if (id === undefined) return
      await put({ id, head: { seq: to, hash }, damage: { code, message, seq } })
    },
  }
}
