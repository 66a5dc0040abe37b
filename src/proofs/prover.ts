/**
 * Makes proofs (proof.ts) for a house that runs: of the tree it needs a few hashes, which come from the file of tiles and,
 * at the edges, from at most 256 records each. Each proof is verified before it is handed out: a tile that is not what
 * was written must not become somebody's evidence.
 */
import { Failure } from '../failure.ts'
import { hashOf, originOf } from '../journal/chain.ts'
import type { Journal } from '../journal/journal.ts'
import type { Signed } from './checkpoint.ts'
import { consistencyText, inclusionText } from './proof.ts'
import type { Tiles } from './tiles.ts'
import {
  consistencySpans,
  inclusionSpans,
  isConsistent,
  leafHash,
  rootByInclusion,
  type Span,
  TILE_LEAVES,
  treeOf,
} from './tree.ts'

export interface ProverNeeds {
  readonly journal: Journal
  readonly tiles: Pick<Tiles, 'read'>
}

/** Proves that fact `seq` is in the journal of the checkpoint. Rejects with a Failure: `proof.tiles`, or the journal's. */
export async function proveInclusion(needs: ProverNeeds, seq: number, checkpoint: Signed): Promise<string> {
  const { journal } = needs
  const records = await recordsOf(journal, { from: Math.max(0, seq - 2), to: seq })
  const record = records.at(-1)!
  const before = seq === 1 ? originOf(journal.id) : hashOf(records[0]!)
  const { size, root, note } = checkpoint
  const path = await rootsOf(needs, inclusionSpans(seq - 1, size))
  const led = rootByInclusion(leafHash(hashOf(record)), seq - 1, size, path)
  if (led === undefined || !led.equals(root)) throw badTiles()
  return inclusionText({ seq, before, record, path, note })
}

/** Proves that the journal of the checkpoint begins with what it was at `old` facts. Rejects as proveInclusion() does. */
export async function proveConsistency(needs: ProverNeeds, old: number, checkpoint: Signed): Promise<string> {
  const [before] = await rootsOf(needs, [{ from: 0, to: old }])
  const path = await rootsOf(needs, consistencySpans(old, checkpoint.size))
  if (!isConsistent({ size: old, root: before! }, checkpoint, path)) throw badTiles()
  return consistencyText(old, path, checkpoint.note)
}

async function rootsOf(needs: ProverNeeds, spans: readonly Span[]): Promise<readonly Buffer[]> {
  const roots: Buffer[] = []
  for (const span of spans) roots.push(await rootOf(needs, span))
  return roots
}

/** A span of a proof is a tile or within one, or begins with one: then it is whole tiles, and perhaps a part of one more. */
async function rootOf({ journal, tiles }: ProverNeeds, { from, to }: Span): Promise<Buffer> {
  const [first, last] = [Math.ceil(from / TILE_LEAVES), Math.floor(to / TILE_LEAVES)]
  if (from % TILE_LEAVES !== 0 || first >= last) return treeOf(await leavesOf(journal, { from, to }))
  const whole = await tiles.read(first, last)
  if (whole.length !== last - first) throw badTiles()
  const rest = await leavesOf(journal, { from: last * TILE_LEAVES, to })
  return treeOf(rest.length === 0 ? whole : [...whole, treeOf(rest)])
}

async function leavesOf(journal: Journal, span: Span): Promise<readonly Buffer[]> {
  return (await recordsOf(journal, span)).map(record => leafHash(hashOf(record)))
}

async function recordsOf(journal: Journal, { from, to }: Span): Promise<readonly string[]> {
  const records: string[] = []
  for await (const page of journal.records({ after: from, until: to })) records.push(...page)
  return records
}

function badTiles(): Failure {
  const said =
    'The hashes kept beside the journal do not lead to the signed root, so that nothing can be proved with them. Stop the ' +
    'house, delete checkpoints/tiles in its folder and start it again: they are made again from the journal.'
  return new Failure('proof.tiles', said)
}
