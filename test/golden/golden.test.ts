/** Journals of earlier releases, replayed for ever: an old fact never changes its meaning unnoticed. */
import { readdirSync, readFileSync } from 'node:fs'
import t from 'tap'
import { entities } from '../../machines/index.ts'
import { yard } from '../scheduler/yard.ts'

interface Golden {
  readonly id: string
  readonly head: { readonly seq: number; readonly hash: string }
  readonly records: string[]
}

for (const file of readdirSync(import.meta.dirname).filter(name => name.endsWith('.json'))) {
  t.test(`the journal of ${file.replace('.json', '')} replays, to the states it had`, async t => {
    const golden = JSON.parse(readFileSync(`${import.meta.dirname}/${file}`, 'utf8')) as Golden
    const y = yard(golden.records)
    t.same(await y.engine.replay(), golden.head)
    t.matchSnapshot(
      JSON.stringify(views(y), (_key, value) => plain(value), 1),
      'views',
    )
  })
}

t.test('the newest golden journal has every fact there is', async t => {
  const newest = readdirSync(import.meta.dirname)
    .filter(name => name.endsWith('.json'))
    .sort()
    .at(-1)!
  const { records } = JSON.parse(readFileSync(`${import.meta.dirname}/${newest}`, 'utf8')) as Golden
  const told = new Set(records.map(record => JSON.parse(record.split('\n')[1]!).type as string))
  const known = Object.values(entities).flatMap(({ machine }) => machine.events as string[])
  t.same([...told].sort(), [...known].sort())
})

function views({
  fleet,
  residency,
  requests,
  breakers,
  estimates,
  catalog,
}: ReturnType<typeof yard>): object {
  return Object.fromEntries(
    Object.entries({ fleet, residency, requests, breakers, estimates, catalog }).map(([name, { state }]) => [
      name,
      state,
    ]),
  )
}

function plain(value: unknown): unknown {
  return value instanceof Map ? Object.fromEntries(value) : value instanceof Set ? [...value] : value
}
