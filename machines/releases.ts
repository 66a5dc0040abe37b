/**
 * Which release first knew a fact, for those that came after 0.2.0: an older one would take such a fact for damage. The
 * journal is marked before the first of them is written, so that it says who may read it (src/journal/folder.ts).
 *
 * A row for each new fact, `'node.registered@2'` for a new version of one. An optional field needs none.
 */

export const since: Readonly<Record<string, string>> = {
  'agent.invited': '0.4.0',
  'agent.joined': '0.4.0',
  'agent.renewed': '0.4.0',
  'agent.revoked': '0.4.0',
  'archive.rewritten': '0.3.0',
  'archive.sealed': '0.3.0',
  'archive.trimmed': '0.3.0',
  'forgetting.done': '0.3.0',
  'forgetting.ordered': '0.3.0',
  'node.cooled': '0.4.0',
  'node.equipped': '0.4.0',
  'node.throttled': '0.4.0',
  'refusals.counted': '0.3.0',
  'scrub.damaged': '0.3.0',
  'signer.created': '0.3.0',
  'signer.rotated': '0.3.0',
  'subscription.created': '0.3.0',
  'subscription.deleted': '0.3.0',
  'subscription.parked': '0.3.0',
  'subscription.resumed': '0.3.0',
  'transfer.abandoned': '0.4.0',
  'transfer.begun': '0.4.0',
  'transfer.cancelled': '0.4.0',
  'transfer.completed': '0.4.0',
  'transfer.failed': '0.4.0',
  'transfer.ordered': '0.4.0',
  'transfer.raised': '0.4.0',
  'transfer.retried': '0.4.0',
}

/** Every release so far reads a journal that has none of the above. */
export const ANY = '0.1.0'

/** What this one understands: journals that may be read by this release or an older one. */
export const READS = Object.values(since).reduce(later, ANY)

/** The release that first knew a fact, in this version of its shape. */
export function readerOf(type: string, v: number): string {
  return since[v === 1 ? type : `${type}@${v}`] ?? ANY
}

/** The later of two releases. */
export function later(one: string, other: string): string {
  const [a, b] = [one, other].map(release => release.split('.').map(Number)) as [number[], number[]]
  const differs = a.findIndex((part, i) => part !== b[i])
  return differs === -1 || (a[differs] ?? 0) > (b[differs] ?? 0) ? one : other
}
