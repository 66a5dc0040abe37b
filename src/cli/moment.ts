/** Times as people type them: `"2026-11-21 14:03"` in this machine's time zone, or `90m` for so long ago. */
import { misused } from './verb.ts'

const AGO_MS: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 }

/** Throws a Failure `cli.usage` that names the option. */
export function momentOf(text: string, option: string, now: number): Date {
  const [, count, unit = ''] = /^(\d{1,9})([smhd])$/.exec(text) ?? []
  if (count !== undefined) return new Date(now - Number(count) * AGO_MS[unit]!)
  // Of a day alone, JavaScript makes midnight in Greenwich.
  const local = /^\d{4}-\d\d-\d\d$/.test(text) ? `${text}T00:00` : text.replace(' ', 'T')
  const at = /^\d{4}-\d\d-\d\d/.test(text) ? new Date(local) : new Date(Number.NaN)
  if (!Number.isNaN(at.getTime())) return at
  throw misused(
    `${option}: "${text}" is not a time such as "2026-01-31 09:05", 2026-01-31, or 90m for so long ago`,
  )
}
