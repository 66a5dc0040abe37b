/** What a house has signed, the key it signs with, and what reading the journal again has found. */
import { readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { Failure } from '../../failure.ts'
import { readLatest } from '../../proofs/kept.ts'
import { keyThere } from '../../proofs/keys.ts'
import { countOf, timeOf } from '../quantities.ts'
import { bad, type Finding, ok, type Room, warning } from './finding.ts'
import { openTo } from './secret.ts'

export const checkpoints: Room = async ({ dir }) => {
  const folder = join(dir, 'checkpoints')
  const found = await stat(folder).catch(() => undefined)
  if (found === undefined) return scrubbed(dir)
  return [...(await key(folder)), ...(await latest(folder)), ...(await scrubbed(dir))]
}

async function key(folder: string): Promise<readonly Finding[]> {
  const path = join(folder, 'key')
  const found = await stat(path).catch(() => undefined)
  if (found !== undefined && (await keyThere(folder)) !== undefined) return openTo(path, found.mode)
  return [
    warning(
      `${path} ${found === undefined ? 'is gone' : 'holds no key'}: nothing is signed, and all else goes on.`,
      'Restore it from a copy. If it is lost for good: `quipu checkpoint rotate --lost`, which the journal will remember.',
    ),
  ]
}

async function latest(folder: string): Promise<readonly Finding[]> {
  try {
    const found = await readLatest(folder)
    return found === undefined
      ? []
      : [ok(`${countOf(found.frontier.size, 'fact')} are covered by a checkpoint.`)]
  } catch (error) {
    if (!(error instanceof Failure)) throw error
    const next =
      'Restore it from a copy, or remove it: then the next start makes the tree anew out of all facts.'
    return [warning(error.message, next)]
  }
}

/** scrub.json: how the last reading of the whole journal ended. */
async function scrubbed(dir: string): Promise<readonly Finding[]> {
  const text = await readFile(join(dir, 'scrub.json'), 'utf8').catch(() => '{}')
  let last: { readonly finishedAt?: unknown; readonly bad?: unknown } | undefined
  try {
    last = JSON.parse(text).last
  } catch {}
  const { finishedAt, bad: places } = last ?? {}
  if (typeof finishedAt !== 'number' || typeof places !== 'number') return []
  const when = `The house read the whole journal again until ${timeOf(finishedAt)}`
  if (places === 0) return [ok(`${when}, and it was whole.`)]
  const next = '`quipu audit` names the first. Restore the folder from a copy, and look at the disk.'
  return [bad(`${when}, and found ${countOf(places, 'damaged place')}.`, next)]
}
