/**
 * The small certificate authority of a house: a key and a certificate in the folder `pki` of its data, made once by
 * `quipu pki init` and never written again. What it signs is short-lived; who holds what is facts of the kind `agent`.
 *
 * The house's own key is in memory only. It gets another with each start, and while it runs.
 */
import {
  createPrivateKey,
  generateKeyPairSync,
  type KeyObject,
  randomBytes,
  X509Certificate,
} from 'node:crypto'
import { mkdir, mkdtemp, readFile, rename, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { Clock, Timer } from '../clock.ts'
import { Failure } from '../failure.ts'
import { replaceFile, syncFolder } from '../replace.ts'
import { type Bearer, fingerprintOf } from './bearer.ts'
import { makeCertificate, SERIAL_BYTES } from './certificate.ts'
import { Papers } from './papers.ts'

const DAY_MS = 86_400_000
const AUTHORITY_MS = 3_652 * DAY_MS
const HOUSE_MS = 7 * DAY_MS
/**
 * Of clocks that do not agree. Only nodes look at when the house's certificates begin, and those are worth nothing before
 * that: a day. Only the house looks at when a node's begins, but for a house that dials, and its clock made it.
 */
export const BACKDATED_MS = { authority: DAY_MS, house: DAY_MS, node: 300_000 }
export const KEY_MODE = 0o600
/** How often, at least, to look at the clock for what is due in days. */
export const LOOK_MS = 600_000

export const pkiIn = (data: string): string => join(data, 'pki')
export const keyIn = (dir: string): string => join(dir, 'key')
export const certificateIn = (dir: string): string => join(dir, 'certificate')

export interface Issued {
  /** PEM. */
  readonly certificate: string
  readonly serial: string
  readonly fingerprint: string
  /** Milliseconds since the epoch. */
  readonly until: number
}

/** Makes one where there is none, whole or not at all. Throws a Failure `pki.exists` or `pki.disk`. */
export async function makeAuthority(dir: string, clock: Clock): Promise<Authority> {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519')
  const now = clock.now()
  const certificate = makeCertificate({
    subject: `Quipu authority ${randomBytes(4).toString('hex')}`,
    publicKey,
    serial: randomBytes(SERIAL_BYTES),
    notBefore: now - BACKDATED_MS.authority,
    notAfter: now + AUTHORITY_MS,
    signingKey: privateKey,
  })
  try {
    await mkdir(dirname(dir), { recursive: true })
    const draft = await mkdtemp(`${dir}.new-`)
    try {
      await replaceFile(keyIn(draft), [pemOf(privateKey)], KEY_MODE)
      await replaceFile(certificateIn(draft), [certificate])
      await rename(draft, dir)
    } finally {
      await rm(draft, { recursive: true, force: true })
    }
    await syncFolder(dirname(dir))
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException
    if (code === 'ENOTEMPTY' || code === 'EEXIST' || code === 'ENOTDIR') {
      const said = `${dir} is there already: agents hold its certificates, and it is not written over. To begin anew, and invite every node again, move it away first.`
      throw new Failure('pki.exists', said, { cause })
    }
    throw new Failure('pki.disk', `${dir} cannot be made: ${message}`, { cause })
  }
  return new Authority(privateKey, new X509Certificate(certificate))
}

/** Throws a Failure `pki.missing`, `pki.damaged` or `pki.disk`. */
export async function openAuthority(dir: string): Promise<Authority> {
  const [key, certificate] = await Promise.all([textIn(keyIn(dir)), textIn(certificateIn(dir))])
  if (key === undefined && certificate === undefined) {
    const said = `${dir} is not there: the house has no authority that agents could trust. Make one with: quipu pki init --data ${dirname(dir)}`
    throw new Failure('pki.missing', said)
  }
  for (const [path, text] of [[keyIn(dir), key] as const, [certificateIn(dir), certificate] as const]) {
    if (text === undefined) throw damaged(`${path} is gone`)
  }
  const privateKey = attempt(() => createPrivateKey(key!))
  if (privateKey?.asymmetricKeyType !== 'ed25519') throw damaged(`${keyIn(dir)} holds no key`)
  const own = attempt(() => new X509Certificate(certificate!))
  if (own === undefined || !own.ca)
    throw damaged(`${certificateIn(dir)} holds no certificate of an authority`)
  if (!own.checkPrivateKey(privateKey)) throw damaged(`${keyIn(dir)} is not the key of ${certificateIn(dir)}`)
  return new Authority(privateKey, own)
}

export class Authority {
  readonly #key: KeyObject
  readonly #certificate: X509Certificate
  /** PEM. */
  readonly certificate: string
  /** What a token names it by. */
  readonly fingerprint: string
  /** Milliseconds since the epoch. */
  readonly until: number

  constructor(key: KeyObject, certificate: X509Certificate) {
    this.#key = key
    this.#certificate = certificate
    this.certificate = certificate.toString()
    this.fingerprint = fingerprintOf(certificate.raw)
    this.until = certificate.validToDate.getTime()
  }

  /** Nothing it signs outlives it. Throws a Failure `pki.expired`. */
  issue(
    bearer: Bearer,
    publicKey: KeyObject,
    { now, lifetimeMs }: { now: number; lifetimeMs: number },
  ): Issued {
    if (now >= this.until) {
      const said = `the house's authority has expired on ${new Date(this.until).toISOString()}. Move its folder away, run \`quipu pki init\`, and invite every node again.`
      throw new Failure('pki.expired', said)
    }
    const certificate = makeCertificate({
      subject: bearer.role === 'house' ? 'Quipu house' : bearer.node,
      bearer,
      publicKey,
      serial: randomBytes(SERIAL_BYTES),
      notBefore: now - BACKDATED_MS[bearer.role],
      notAfter: Math.min(now + lifetimeMs, this.until),
      issuer: this.#certificate,
      signingKey: this.#key,
    })
    const made = new X509Certificate(certificate)
    return {
      certificate,
      serial: made.serialNumber,
      fingerprint: fingerprintOf(made.raw),
      until: made.validToDate.getTime(),
    }
  }
}

/** The house's own papers, new ones at two thirds of their time. */
export class HousePapers {
  readonly papers: Papers
  readonly #authority: Authority
  readonly #clock: Clock
  #madeAt = 0
  #dueAt = 0
  #timer: Timer | undefined

  constructor(authority: Authority, clock: Clock) {
    this.#authority = authority
    this.#clock = clock
    this.papers = new Papers(this.#fresh())
  }

  close(): void {
    this.#timer?.cancel()
  }

  #fresh() {
    const { publicKey, privateKey } = generateKeyPairSync('ed25519')
    const now = this.#clock.now()
    const issued = this.#authority.issue({ role: 'house' }, publicKey, { now, lifetimeMs: HOUSE_MS })
    this.#madeAt = now
    this.#dueAt = now + ((issued.until - now) * 2) / 3
    this.#wait()
    // With the authority's own, so that who joins can hold it against the token.
    const certificate = issued.certificate + this.#authority.certificate
    return { key: pemOf(privateKey), certificate, authority: this.#authority.certificate }
  }

  /** Certificates end by the clock on the wall, and timers stand still while a machine sleeps: so it looks again and again. */
  #wait(): void {
    const left = Math.max(this.#dueAt - this.#clock.now(), 0)
    this.#timer = this.#clock.after(Math.min(left, LOOK_MS), () => this.#look())
  }

  /** An authority at its end signs nothing more: then the last papers hold as long as they do. */
  #look(): void {
    const now = this.#clock.now()
    // Before they were made: the clock was wrong then, and they say so.
    if (now >= this.#madeAt && now < this.#dueAt) return this.#wait()
    if (now < this.#authority.until) this.papers.replace(this.#fresh())
  }
}

export function pemOf(key: KeyObject): string {
  return key.export({ type: 'pkcs8', format: 'pem' }) as string
}

function damaged(what: string): Failure {
  const how =
    'Restore the folder from a copy; or, if it is lost for good, move it away, run `quipu pki init`, and invite every node again.'
  return new Failure('pki.damaged', `${what}. ${how}`)
}

function attempt<T>(read: () => T): T | undefined {
  try {
    return read()
  } catch {
    return undefined
  }
}

async function textIn(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8')
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined
    throw new Failure('pki.disk', `${path} cannot be read: ${message}`, { cause })
  }
}
