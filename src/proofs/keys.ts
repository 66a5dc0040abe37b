/**
 * The key that signs, as two files: `key`, and `key.next` while one takes the other's place. Which of them counts is
 * what the journal says: a rotation is done when its fact is on the disk, and a crash on either side of that leaves the
 * right one.
 */
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { Failure } from '../failure.ts'
import { moveFile, readText, replaceFile, SECRET_MODE } from './disk.ts'
import { newSigner, parseSecret, type Signer } from './note.ts'

const keyIn = (dir: string): string => join(dir, 'key')
const nextIn = (dir: string): string => join(dir, 'key.next')

/**
 * The key for a journal that names `vkey`, or a new one where it names none. Throws a Failure: `signer.missing` where
 * the file is gone, `signer.unreadable`, `signer.other` where it holds another key; `checkpoint.disk`.
 */
export async function openKey(dir: string, name: string, vkey: string | undefined): Promise<Signer> {
  const next = await readKey(nextIn(dir)).catch(() => undefined)
  if (next !== undefined && next.vkey === vkey) await adopt(dir)
  else await rm(nextIn(dir), { force: true })
  const found = await readKey(keyIn(dir))
  if (vkey === undefined && found?.vkey.startsWith(`${name}+`)) return found
  if (vkey === undefined && found === undefined) {
    const made = newSigner(name)
    await replaceFile(keyIn(dir), made.secret, SECRET_MODE)
    return made
  }
  if (found === undefined) {
    throw new Failure('signer.missing', `${keyIn(dir)} is gone, the key that signs checkpoints. ${REMEDY}`)
  }
  if (found.vkey !== vkey) {
    const named = vkey ?? 'none'
    const said = `${keyIn(dir)} holds ${found.vkey}, and the journal names ${named}. ${REMEDY}`
    throw new Failure('signer.other', said)
  }
  return found
}

/** The public half of what is in the file, whatever the journal says of it; undefined where there is none. */
export async function keyThere(dir: string): Promise<string | undefined> {
  return (await readKey(keyIn(dir)).catch(() => undefined))?.vkey
}

const REMEDY =
  'Nothing is signed until it is back: restore that file from a copy, or, if the key is lost for good, run ' +
  '`quipu checkpoint rotate --lost`, which the journal will remember.'

/** Lays a new key beside the old one. */
export async function prepareKey(dir: string, name: string): Promise<Signer> {
  const next = newSigner(name)
  await replaceFile(nextIn(dir), next.secret, SECRET_MODE)
  return next
}

/** The one that was prepared takes the old one's place, whose secret is gone with that. */
export async function adopt(dir: string): Promise<void> {
  await moveFile(nextIn(dir), keyIn(dir))
}

async function readKey(path: string): Promise<Signer | undefined> {
  const text = await readText(path)
  if (text === undefined) return undefined
  const signer = parseSecret(text)
  if (signer === undefined) throw new Failure('signer.unreadable', `${path} holds no key. ${REMEDY}`)
  return signer
}
