/**
 * Signed notes (c2sp.org/signed-note): a text, an empty line, and a line for each signature. The keys are Ed25519, in
 * the form that Go's sumdb/note has made common:
 *
 *   — <name> <base64 of the key's id (4 bytes) and the signature (64)>
 *   vkey     <name>+<id, 8 hex digits>+<base64 of 0x01 and the public key>
 *   secret   PRIVATE+KEY+<name>+<id>+<base64 of 0x01 and the seed>
 *
 * A key's id is the first four bytes of SHA-256(name ‖ 0x0A ‖ 0x01 ‖ public key).
 */
import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  sign,
  verify,
} from 'node:crypto'
import { Failure } from '../failure.ts'

const ED25519 = 1
const SEED_BYTES = 32
const ID_BYTES = 4
/** What DER puts before 32 bytes to say that they are an Ed25519 key (RFC 8410). */
const PRIVATE_DER = Buffer.from('302e020100300506032b657004220420', 'hex')
const PUBLIC_DER = Buffer.from('302a300506032b6570032100', 'hex')
/** As much as anybody would put on a checkpoint, witnesses and all. */
const NOTE_CHARACTERS_MAX = 65_536
const SIGNATURES_MAX = 100

/** Who may be believed. */
export interface Verifier {
  readonly name: string
  /** 8 hex digits. */
  readonly id: string
  readonly vkey: string
  verify(text: string, signature: Buffer): boolean
}

export interface Signer {
  readonly vkey: string
  /** As it stands in the file of the key. */
  readonly secret: string
  /** The text with a signature of this key. */
  note(text: string): string
  /** The signature alone, base64. */
  signature(text: string): string
}

export function newSigner(name: string): Signer {
  const { privateKey } = generateKeyPairSync('ed25519')
  return signerOf(name, privateKey.export({ format: 'der', type: 'pkcs8' }).subarray(-SEED_BYTES))
}

/** Undefined where the text is no secret key, or its id is not that of the key. */
export function parseSecret(text: string): Signer | undefined {
  const [, name, id, data] = /^PRIVATE\+KEY\+([^\s+]+)\+([0-9a-f]{8})\+([\w+/]+=*)\n?$/.exec(text) ?? []
  const bytes = Buffer.from(data ?? '', 'base64')
  if (name === undefined || bytes.length !== 1 + SEED_BYTES || bytes[0] !== ED25519) return undefined
  const signer = signerOf(name, bytes.subarray(1))
  return parseVkey(signer.vkey)?.id === id ? signer : undefined
}

function signerOf(name: string, seed: Buffer): Signer {
  const key = createPrivateKey({ key: Buffer.concat([PRIVATE_DER, seed]), format: 'der', type: 'pkcs8' })
  const open = createPublicKey(key).export({ format: 'der', type: 'spki' }).subarray(PUBLIC_DER.length)
  const id = idOf(name, open)
  const signed = (text: string): Buffer => sign(null, Buffer.from(text), key)
  const encoded = (bytes: Buffer): string => Buffer.concat([Buffer.of(ED25519), bytes]).toString('base64')
  return {
    vkey: `${name}+${id.toString('hex')}+${encoded(open)}`,
    secret: `PRIVATE+KEY+${name}+${id.toString('hex')}+${encoded(seed)}\n`,
    note: text => `${text}\n— ${name} ${Buffer.concat([id, signed(text)]).toString('base64')}\n`,
    signature: text => signed(text).toString('base64'),
  }
}

/** Undefined where the text is no such key, or its id is not that of the key. */
export function parseVkey(text: string): Verifier | undefined {
  const [, name, id, data] = /^([^\s+]+)\+([0-9a-f]{8})\+([\w+/]+=*)$/.exec(text.trim()) ?? []
  const bytes = Buffer.from(data ?? '', 'base64')
  if (name === undefined || bytes.length !== 1 + SEED_BYTES || bytes[0] !== ED25519) return undefined
  const open = bytes.subarray(1)
  if (idOf(name, open).toString('hex') !== id) return undefined
  const key: KeyObject = createPublicKey({
    key: Buffer.concat([PUBLIC_DER, open]),
    format: 'der',
    type: 'spki',
  })
  return {
    name,
    id: id!,
    vkey: text.trim(),
    verify: (signed, signature) => verify(null, Buffer.from(signed), key, signature),
  }
}

function idOf(name: string, open: Buffer): Buffer {
  const input = Buffer.concat([Buffer.from(`${name}\n`), Buffer.of(ED25519), open])
  return createHash('sha256').update(input).digest().subarray(0, ID_BYTES)
}

export interface OpenedNote {
  readonly text: string
  /** The first of those known that has signed it. */
  readonly by: Verifier
}

/**
 * The text of a note that one of `known` has signed. Throws a Failure: `checkpoint.invalid` where it is no note,
 * `checkpoint.unsigned` where none of them has signed it, `checkpoint.forged` where a signature is not theirs.
 */
export function openNote(note: string, known: readonly Verifier[]): OpenedNote {
  const end = note.lastIndexOf('\n\n')
  const text = note.slice(0, end + 1)
  const lines = note.slice(end + 2).split('\n')
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the specification names them
  const odd = /[\u0000-\u0009\u000b-\u001f]/.test(note)
  if (end === -1 || odd || lines.pop() !== '' || lines.length > SIGNATURES_MAX) throw notANote()
  if (note.length > NOTE_CHARACTERS_MAX) throw notANote()
  const signatures = lines.map(line => {
    const [, name, data] = /^— ([^\s+]+) ([\w+/]+=*)$/.exec(line) ?? []
    const bytes = Buffer.from(data ?? '', 'base64')
    if (name === undefined || bytes.length <= ID_BYTES) throw notANote()
    return { name, id: bytes.toString('hex', 0, ID_BYTES), signature: bytes.subarray(ID_BYTES) }
  })
  let by: Verifier | undefined
  for (const { name, id, signature } of signatures) {
    const key = known.find(key => key.name === name && key.id === id)
    if (key === undefined) continue
    if (!key.verify(text, signature)) {
      throw new Failure('checkpoint.forged', `The signature of ${name}+${id} does not belong to this text.`)
    }
    by ??= key
  }
  if (by !== undefined) return { text, by }
  const who = signatures.map(({ name, id }) => `${name}+${id}`).join(', ') || 'nobody'
  const wanted = known.map(({ name, id }) => `${name}+${id}`).join(', ') || 'none'
  throw new Failure('checkpoint.unsigned', `It is signed by ${who}; the keys that count here: ${wanted}.`)
}

function notANote(): Failure {
  return new Failure('checkpoint.invalid', 'This is not a signed note.')
}
