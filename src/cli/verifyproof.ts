/** `quipu verify-proof`: is a proof one? Needs the public key, and neither a house nor a journal. */
import { openCheckpoint } from '../proofs/checkpoint.ts'
import type { Verifier } from '../proofs/note.ts'
import { isInclusion, verifyConsistency, verifyInclusion } from '../proofs/proof.ts'
import { factLine } from './facts.ts'
import { countOf } from './quantities.ts'
import { say, sayJson, tinted } from './terminal.ts'
import { keyOption, keysOf, textFrom } from './trusted.ts'
import { type Given, jsonOption, misused, textOf, type Verb } from './verb.ts'

export const verifyProof: Verb = {
  usage: ['verify-proof FILE --key VKEY|FILE', 'verify-proof FILE --since CHECKPOINT --key VKEY|FILE'],
  about:
    'Verifies what `quipu prove` has written, here and now: nobody is asked. Proves that the fact in it is in the journal ' +
    'that the key has signed; or, for a proof made with --from, that this journal begins with all that the earlier ' +
    'checkpoint (--since) was signed for. Exit code 1 where it proves nothing.',
  options: {
    ...keyOption,
    since: { value: 'CHECKPOINT', sentence: 'the file of the earlier checkpoint' },
    ...jsonOption,
  },
  examples: [
    ['quipu verify-proof 1234.tlog-proof --key quipu.key', 'is that fact in the journal?'],
    [
      'quipu verify-proof since.txt --since checkpoint.txt --key quipu.key',
      'was nothing changed since then?',
    ],
  ],
  wordsMax: 1,
  async run(given) {
    const [path] = given.words
    if (path === undefined) throw misused('verify-proof needs a file (- for stdin)')
    const known = await keysOf(given)
    if (known.length === 0) throw misused('verify-proof needs --key: whom to believe')
    const text = await textFrom(path)
    if (isInclusion(text)) fact(text, known, given)
    else await continuation(text, known, given)
  },
}

function fact(text: string, known: readonly Verifier[], { switches }: Given): void {
  const { entry, checkpoint } = verifyInclusion(text, known)
  const { origin, size, vkey } = checkpoint
  if (switches.has('json')) return sayJson({ ok: true, origin, size, vkey, fact: entry })
  say(tinted('green', `Fact ${entry.seq} is in the journal that was signed with ${countOf(size, 'fact')}.`))
  say()
  say(`fact     ${factLine(entry).replace(/\s+/g, ' ')}`)
  say(`journal  ${origin}`)
  say(`key      ${vkey}`)
}

async function continuation(text: string, known: readonly Verifier[], given: Given): Promise<void> {
  const since = textOf(given, 'since')
  if (since === undefined)
    throw misused('this proof goes on from an earlier checkpoint: name it with --since')
  const earlier = openCheckpoint(await textFrom(since), known)
  const { old, checkpoint } = verifyConsistency(text, earlier, known)
  const { origin, size, vkey } = checkpoint
  if (given.switches.has('json')) return sayJson({ ok: true, origin, since: old, size, vkey })
  say(
    tinted('green', `Nothing up to fact ${old} was changed: the journal goes on from there to fact ${size}.`),
  )
  say()
  say(`journal  ${origin}`)
  say(`key      ${vkey}`)
}
