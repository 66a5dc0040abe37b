import t from 'tap'
import { openMemoryJournal } from '../../src/journal/memory.ts'
import { journalSuite } from './suite.ts'

let places = 0

journalSuite(t, async () => {
  const records: string[] = []
  let stored: (string | undefined)[] | undefined
  const id = `memory ${++places}`
  return {
    open: async () => openMemoryJournal({ id, records }),
    async tamper(seq, record) {
      stored ??= [...records]
      stored[seq - 1] = record
      records.splice(0, records.length, ...stored.filter(text => text !== undefined))
    },
  }
})
