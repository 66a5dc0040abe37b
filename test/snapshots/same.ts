/** Are two states the same to whoever folds on: equal, in the same order, and shared where the other shares? */

/** As text. What is met again is the number of where it was met first. */
export function outline(value: unknown): string {
  const met = new Map<object, number>()
  const tell = (value: unknown): unknown => {
    if (typeof value === 'number' && !Number.isFinite(value)) return `number ${value}`
    if (value === undefined) return 'nothing'
    if (typeof value !== 'object' || value === null) return value
    const before = met.get(value)
    if (before !== undefined) return { again: before }
    met.set(value, met.size)
    if (value instanceof Map) return { map: [...value].map(([key, held]) => [key, tell(held)]) }
    if (value instanceof Set) return { set: [...value].map(tell) }
    if (Array.isArray(value)) return Array.from(value, tell)
    if (Object.getPrototypeOf(value) !== Object.prototype) throw new TypeError('not plain data')
    return { object: Object.entries(value).map(([key, held]) => [key, tell(held)]) }
  }
  return JSON.stringify(tell(value))
}
