/** `quipu prove`: evidence for somebody who has neither the house nor its journal. */
import { readCheckpoint } from '../proofs/checkpoint.ts'
import { clientOf } from './client.ts'
import { houseOptions } from './settings.ts'
import { textFrom } from './trusted.ts'
import { misused, textOf, type Verb } from './verb.ts'

export const prove: Verb = {
  usage: ['prove SEQ', 'prove --from SIZE|CHECKPOINT'],
  about:
    'Asks a running house for a proof, and prints it. With a number: that this fact, which is part of the proof, is in ' +
    'the journal. With --from: that the journal begins with all that an earlier checkpoint was signed for. Either is a ' +
    'few KiB, ends with the newest checkpoint, and is verified with `quipu verify-proof` and the public key alone. The ' +
    'forms are those of C2SP (tlog-proof, tlog-witness), which other programs read, too.',
  options: {
    from: {
      value: 'SIZE|CHECKPOINT',
      sentence: 'how many facts the earlier checkpoint has, or the file that holds it',
    },
    ...houseOptions,
  },
  examples: [
    ['quipu prove 1234 > 1234.tlog-proof', 'fact 1234, for somebody who wants to see it'],
    ['quipu prove --from checkpoint.txt > since.txt', 'nothing was changed since that checkpoint'],
  ],
  wordsMax: 1,
  async run(given) {
    const [seq] = given.words
    const from = textOf(given, 'from')
    if ((seq === undefined) === (from === undefined))
      throw misused('prove needs a fact or --from, and not both')
    if (seq !== undefined && !/^[1-9]\d{0,14}$/.test(seq))
      throw misused(`"${seq}" is not the number of a fact`)
    const path = seq !== undefined ? `inclusion/${seq}` : `consistency/${await sizeOf(from!)}`
    process.stdout.write(await clientOf(given).text(`/quipu/checkpoint/${path}`))
  },
}

async function sizeOf(from: string): Promise<number> {
  if (/^[1-9]\d{0,14}$/.test(from)) return Number(from)
  return readCheckpoint(await textFrom(from)).size
}
