/** Durations the way Go's time.ParseDuration reads them: `5m`, `1h30m`, `1.5s`, `-1s`, `0`; in milliseconds. */
import { GoFault } from './gojson.ts'

const UNIT_MS: Record<string, number> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3,
  μs: 1e-3,
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
}

export function parseDuration(text: string): number {
  const invalid = (): GoFault => new GoFault(`time: invalid duration ${JSON.stringify(text)}`)
  const sign = text.startsWith('-') ? -1 : 1
  let rest = text.replace(/^[-+]/, '')
  if (rest === '0') return 0
  if (rest === '') throw invalid()
  let ms = 0
  while (rest !== '') {
    const [amount] = /^[0-9]*\.?[0-9]*/.exec(rest)!
    if (amount === '' || amount === '.') throw invalid()
    rest = rest.slice(amount.length)
    const [unit] = /^[^0-9.]*/.exec(rest)!
    if (unit === '') throw new GoFault(`time: missing unit in duration ${JSON.stringify(text)}`)
    const scale = UNIT_MS[unit]
    if (scale === undefined)
      throw new GoFault(`time: unknown unit ${JSON.stringify(unit)} in duration ${JSON.stringify(text)}`)
    ms += Number(amount) * scale
    rest = rest.slice(unit.length)
  }
  return sign * ms
}
