import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { ANY, later, READS, readerOf, since } from '../../machines/releases.ts'

const doc = readFileSync(join(import.meta.dirname, '../../docs/facts.md'), 'utf8')
/** The last release whose facts every house knows that asks who may read a journal. */
const LAST = '0.2.0'

t.test(
  'every fact that came after 0.2.0 is in the table, with the release that docs/facts.md names',
  async t => {
    const told = doc
      .split(/^### /m)
      .slice(1)
      .map(
        section =>
          [section.slice(0, section.indexOf('\n')), /Since\s(\d+\.\d+\.\d+)\./.exec(section)?.[1]] as const,
      )
      .filter(([, release = LAST]) => later(release, LAST) !== LAST)
    t.same(
      Object.fromEntries(Object.entries(since).filter(([type]) => !type.includes('@'))),
      Object.fromEntries(told),
    )
  },
)

t.test('releases are compared by number', async t => {
  t.equal(later('0.3.0', '0.10.0'), '0.10.0')
  t.equal(later('0.10.0', '0.3.0'), '0.10.0')
  t.equal(later('1.0.0', '0.99.9'), '1.0.0')
  t.equal(later('0.3.1', '0.3.1'), '0.3.1')
})

t.test('a fact that all know asks for nothing', async t => {
  t.equal(readerOf('node.registered', 1), ANY)
  t.equal(readerOf('archive.sealed', 1), '0.3.0')
  t.equal(later(READS, '0.3.0'), READS)
})
