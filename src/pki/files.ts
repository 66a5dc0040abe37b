/**
 * What an agent keeps of the house it has joined, in its folder:
 *
 *   identity.pem   its key, its certificate, and the house's authority, in this order; for its own user alone. In one
 *                  file, so that a crash while they are renewed leaves the old ones or the new ones
 *   house          where it is: HOST:PORT
 */
import { mkdir, readFile, rm, rmdir } from 'node:fs/promises'
import { join } from 'node:path'
import { Failure } from '../failure.ts'
import { replaceFile } from '../replace.ts'
import { KEY_MODE } from './authority.ts'
import type { Identity } from './papers.ts'
import { describe } from './request.ts'

export const identityIn = (dir: string): string => join(dir, 'identity.pem')
export const houseIn = (dir: string): string => join(dir, 'house')

const FOLDER_MODE = 0o700
/** More than an identity takes. */
const TRIAL_BYTES = 4_096
const PARTS =
  /^(-----BEGIN PRIVATE KEY-----[^-]+-----END PRIVATE KEY-----)\s+(-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----)\s+(-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----)\s*$/

/** Throws a Failure `agent.unjoined` where there is none, `agent.identity` where it is not one. */
export async function readIdentity(dir: string): Promise<Identity> {
  const path = identityIn(dir)
  const text = await textIn(path)
  if (text === undefined) {
    const said = `${path} is not there: this agent has joined no house. On the house, run: quipu pki invite NODE`
    throw new Failure('agent.unjoined', said)
  }
  const [, key, certificate, authority] = PARTS.exec(text) ?? []
  const identity = { key: `${key}\n`, certificate: `${certificate}\n`, authority: `${authority}\n` }
  if (authority !== undefined && describe(identity) !== undefined) return identity
  const said = `${path} does not hold a key, its certificate and the house's. Move it away and join again: on the house, run quipu pki invite NODE`
  throw new Failure('agent.identity', said)
}

/** Whole or not at all, and on the disk. */
export async function writeIdentity(dir: string, { key, certificate, authority }: Identity): Promise<void> {
  await write(
    identityIn(dir),
    [key, certificate, authority].map(part => `${part.trim()}\n`).join(''),
    KEY_MODE,
  )
}

/** Undefined where it has joined none. */
export async function readHouse(dir: string): Promise<string | undefined> {
  return (await textIn(houseIn(dir)))?.trim()
}

export async function writeHouse(dir: string, address: string): Promise<void> {
  await write(houseIn(dir), `${address}\n`, 0o644)
}

/**
 * For whoever is about to be given what is given once: makes the folder, and tries whether it takes an identity. Answers with how
 * to take the folder away again, where it was not there and nothing came of it. Throws a Failure `agent.disk`.
 */
export async function tryFolder(dir: string): Promise<() => Promise<void>> {
  const trial = join(dir, 'trial')
  try {
    const made = await mkdir(dir, { recursive: true, mode: FOLDER_MODE })
    await replaceFile(trial, [Buffer.alloc(TRIAL_BYTES)], KEY_MODE)
    await rm(trial)
    return async () => {
      if (made !== undefined) await rmdir(dir).catch(() => {})
    }
  } catch (cause) {
    throw new Failure('agent.disk', `${dir} cannot be written: ${(cause as Error).message}`, { cause })
  }
}

async function write(path: string, text: string, mode: number): Promise<void> {
  try {
    await mkdir(join(path, '..'), { recursive: true, mode: FOLDER_MODE })
    await replaceFile(path, [text], mode)
  } catch (cause) {
    throw new Failure('agent.disk', `${path} cannot be written: ${(cause as Error).message}`, { cause })
  }
}

async function textIn(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8')
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException
    if (code === 'ENOENT') return undefined
    throw new Failure('agent.disk', `${path} cannot be read: ${message}`, { cause })
  }
}
