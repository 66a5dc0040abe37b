/** `quipu checkpoint`: what the journal of a running house is now, signed; the key that signs, and another one. */
import type { Rotated } from '../gateway/schema/journal.ts'
import type { Told } from '../gateway/schema/words.ts'
import { type Client, clientOf } from './client.ts'
import { nearest } from './nearest.ts'
import { houseOptions } from './settings.ts'
import { say, sayJson } from './terminal.ts'
import { type Given, jsonOption, misused, type Verb } from './verb.ts'

export const checkpoint: Verb = {
  usage: ['checkpoint', 'checkpoint key', 'checkpoint rotate [--lost]'],
  about:
    'By itself, prints the newest checkpoint of a running house: the journal, how many facts it has, and their hash, ' +
    'signed. Keep it where nobody can change it together with the journal (another machine, a mail to yourself); ' +
    '`quipu audit --since` then proves that nothing before it was changed. With `key`, prints the public key that ' +
    'signs. With `rotate`, lets another key sign from now on, endorsed by the one before; the journal remembers both.',
  options: {
    lost: {
      sentence: 'rotate: the key before is gone, so that it endorses nothing; refused while it is there',
    },
    ...houseOptions,
    ...jsonOption,
  },
  examples: [
    ['quipu checkpoint > checkpoint.txt', 'to be kept elsewhere'],
    ['quipu checkpoint key > quipu.key', 'the key it is verified with; keep that, too'],
    ['quipu checkpoint rotate', 'another key from now on'],
  ],
  wordsMax: 1,
  async run(given) {
    const [word] = given.words
    const client = clientOf(given)
    if (word !== 'rotate' && given.switches.has('lost')) throw misused('--lost goes with checkpoint rotate')
    if (word === undefined) return print(client, '/quipu/checkpoint', given)
    if (word === 'key') return print(client, '/quipu/checkpoint/key', given)
    if (word === 'rotate') return rotate(client, given)
    const meant = nearest(word, ['key', 'rotate'])
    throw misused(
      `"${word}" is not part of a checkpoint${meant === undefined ? '' : `; did you mean ${meant}?`}`,
    )
  },
}

async function print(client: Client, path: string, { switches }: Given): Promise<void> {
  const text = await client.text(path)
  if (!switches.has('json')) return void process.stdout.write(text)
  sayJson(path.endsWith('key') ? { vkey: text.trim() } : { note: text })
}

async function rotate(client: Client, { switches }: Given): Promise<void> {
  const body = { lost: switches.has('lost') }
  const rotated = await client.ask<Told<typeof Rotated>>('/quipu/checkpoint/rotate', { method: 'POST', body })
  if (switches.has('json')) return sayJson(rotated)
  say(`signs now   ${rotated.vkey}`)
  say(`until now   ${rotated.before}`)
  say(`by fact     ${rotated.seq}`)
}
