/**
 * Answers about the whole fleet: what single nodes say of models, put together so that a client sees one Ollama. Pure:
 * rows in, rows out, each row passed on as the node wrote it.
 */
import { canonicalName, parseName } from '../../machines/name.ts'

interface TagRow {
  readonly name: string
  readonly modified_at?: string
  readonly remote_host?: string
}

interface PsRow {
  readonly name: string
  readonly expires_at?: string
}

/** One row a model, the newest of those there are; newest first, as Ollama sorts. */
export function mergeTags<Row extends TagRow>(
  lists: Iterable<readonly Row[]>,
  { cloud }: { cloud: boolean },
): Row[] {
  const newest = merge(lists, ({ modified_at }) => time(modified_at))
  return newest.filter(({ remote_host }) => cloud || !remote_host)
}

/** One row a model, that which stays longest; longest first. */
export function mergePs<Row extends PsRow>(lists: Iterable<readonly Row[]>): Row[] {
  return merge(lists, ({ expires_at }) => time(expires_at))
}

/** What /v1/models says of the same rows; an empty store is null there, as in Ollama. */
export function modelList(rows: readonly TagRow[]): { object: 'list'; data: object[] | null } {
  return { object: 'list', data: rows.length === 0 ? null : rows.map(row => modelEntry(row.name, row)) }
}

/** `id` is the name as it was asked for. */
export function modelEntry(id: string, { name, modified_at }: TagRow): object {
  const created = Math.floor(time(modified_at) / 1_000)
  return { id, object: 'model', created, owned_by: parseName(name)?.namespace ?? 'library' }
}

/** The oldest version of the fleet: what every node can do. */
export function lowestVersion(versions: Iterable<string>): string | undefined {
  return [...versions].sort(compareVersions)[0]
}

function merge<Row extends { readonly name: string }>(
  lists: Iterable<readonly Row[]>,
  rank: (row: Row) => number,
): Row[] {
  const best = new Map<string, Row>()
  for (const rows of lists) {
    for (const row of rows) {
      const key = canonicalName(row.name) ?? row.name
      const known = best.get(key)
      if (known === undefined || rank(row) > rank(known)) best.set(key, row)
    }
  }
  return [...best.values()].sort((a, b) => rank(b) - rank(a) || (a.name < b.name ? -1 : 1))
}

function time(stamp: string | undefined): number {
  const ms = Date.parse(stamp ?? '')
  return Number.isNaN(ms) ? 0 : ms
}

function compareVersions(a: string, b: string): number {
  const [x, y] = [a, b].map(version =>
    version.split(/[.+-]/).map(part => Number.parseInt(part, 10) || 0),
  ) as [number[], number[]]
  for (let i = 0; i < Math.max(x.length, y.length); i += 1) {
    const difference = (x[i] ?? 0) - (y[i] ?? 0)
    if (difference !== 0) return difference
  }
  return a < b ? 1 : a > b ? -1 : 0
}
