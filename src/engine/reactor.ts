/**
 * A reactor turns facts into deeds. `resume` looks at the projections and does whatever is still undone; it must
 * be enough on its own. The rows only make it prompt.
 */
import type { On } from '../../machines/entity.ts'
import type { Fact } from '../../machines/index.ts'
import type { Entry } from '../journal/journal.ts'

/**
 * `durable`: told when the fact is on disk, because the deed shows outside. `decided`: told in the same turn,
 * because the only deeds are further decisions, whose own effects wait for the disk.
 */
export type Hears = 'durable' | 'decided'

export interface Reactor {
  readonly hears: Hears
  react(entry: Entry): void
  resume(): void
}

export function reactor<Self>(
  self: Self,
  { hears = 'durable', on, resume }: { hears?: Hears; on: On<Fact, Self>; resume: (self: Self) => void },
): Reactor {
  const rows = on as Record<string, ((self: Self, entry: Entry) => void) | undefined>
  return { hears, react: entry => rows[entry.type]?.(self, entry), resume: () => resume(self) }
}
