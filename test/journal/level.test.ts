import { join } from 'node:path'
import { Level } from 'level'
import t from 'tap'
import { systemClock as clock } from '../../src/clock.ts'
import { keyOf } from '../../src/journal/keys.ts'
import { openLevelJournal } from '../../src/journal/level.ts'
import { journalSuite, type Place } from './suite.ts'

let places = 0

for (const sublevel of [undefined, 'house']) {
  t.test(sublevel === undefined ? 'on Level' : 'on Level, inside a sublevel', async t => {
    const root = t.testdir()
    journalSuite(t, async (): Promise<Place> => {
      const dir = join(root, `${++places}`)
      const inside = sublevel === undefined ? {} : { sublevel }
      return {
        open: () => openLevelJournal({ dir, clock, create: true, ...inside }),
        async tamper(seq, record) {
          const level = new Level<Buffer, string>(join(dir, 'journal'), {
            keyEncoding: 'buffer',
            createIfMissing: false,
          })
          const prefix = Buffer.from(sublevel === undefined ? '' : `!${sublevel}!`)
          const key = Buffer.concat([prefix, keyOf(seq)])
          if (record === undefined) await level.del(key)
          else await level.put(key, record)
          await level.close()
        },
      }
    })
  })
}
