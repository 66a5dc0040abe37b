/** Signed notes as the rest of the world writes and reads them. */
import t from 'tap'
import { newSigner, openNote, parseSecret, parseVkey } from '../../src/proofs/note.ts'
import { failure } from '../journal/facts.ts'

/** The example of Go's golang.org/x/mod/sumdb/note, whose keys are public and sign nothing else. */
const VKEY = 'PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW'
const SECRET = 'PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz'
const TEXT =
  'If you think cryptography is the answer to your problem,\n' + "then you don't know what your problem is.\n"
const NOTE = `${TEXT}\n— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n`

t.test('a note that Go has signed is opened, and signed again byte for byte', async t => {
  const key = parseVkey(VKEY)!
  t.same([key.name, key.id], ['PeterNeumann', 'c74f20a3'])
  t.equal(openNote(NOTE, [key]).text, TEXT)
  const signer = parseSecret(SECRET)!
  t.equal(signer.vkey, VKEY)
  t.equal(signer.note(TEXT), NOTE)
  t.equal(signer.secret, `${SECRET}\n`)
})

t.test('the example of the specification of checkpoints has the form of a note', async t => {
  const note =
    'example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n' +
    '— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n'
  t.match(await failure(() => openNote(note, [])), {
    code: 'checkpoint.unsigned',
    message: /example\.com\/behind-the-sofa\+033de0ae/,
  })
})

t.test('a key that was made signs what its public half verifies', async t => {
  const signer = newSigner('quipu/01KDVDNA000000000000000000')
  const key = parseVkey(signer.vkey)!
  t.equal(parseSecret(signer.secret)!.vkey, signer.vkey)
  t.equal(openNote(signer.note('a\nb\n'), [key]).text, 'a\nb\n')
  t.not(newSigner('x').vkey, newSigner('x').vkey)
})

t.test('signatures of strangers are passed over, those of the known must be right', async t => {
  const [ours, theirs] = [newSigner('a'), newSigner('b')]
  const key = parseVkey(ours.vkey)!
  const both = `${theirs.note('x\n')}${ours.note('x\n').slice('x\n\n'.length)}`
  t.equal(openNote(both, [key]).by.vkey, ours.vkey)
  const forged = both.replace(/(— a \S{20})(\S)/, (_all, head, letter) => head + (letter === 'A' ? 'B' : 'A'))
  t.match(await failure(() => openNote(forged, [key])), { code: 'checkpoint.forged' })
  t.match(await failure(() => openNote(both.replace('x\n', 'y\n'), [key])), { code: 'checkpoint.forged' })
  t.match(await failure(() => openNote(theirs.note('x\n'), [key])), { code: 'checkpoint.unsigned' })
})

t.test('what is no note is not opened', async t => {
  const key = parseVkey(VKEY)!
  for (const text of [
    '',
    TEXT,
    NOTE.slice(0, -1),
    NOTE.replace('—', '--'),
    NOTE.replace('\n\n', '\n'),
    NOTE.replace('PeterNeumann x08', 'PeterNeumann  x08'),
    NOTE.replace('then', 'then\u0007'),
    `${NOTE}${'— a AAAAAAAA\n'.repeat(100)}`,
  ])
    t.match(await failure(() => openNote(text, [key])), { code: 'checkpoint.invalid' }, JSON.stringify(text))
  // Go's reader minds no empty line before the last one.
  t.match(await failure(() => openNote(NOTE.replace('answer', 'answer\n'), [key])), {
    code: 'checkpoint.forged',
  })
})

t.test('a key whose id is not its own is none', async t => {
  for (const text of [
    VKEY.replace('c74f20a3', 'c74f20a4'),
    VKEY.replace('Peter', 'Petra'),
    VKEY.slice(0, -4),
    'x',
  ])
    t.equal(parseVkey(text), undefined, text)
  for (const text of [SECRET.replace('c74f20a3', 'c74f20a4'), SECRET.slice(0, -4), VKEY])
    t.equal(parseSecret(text), undefined, text)
})
