/** What somebody meant who typed something that does not exist. */

/** The nearest of `known`, where it is near enough to be worth saying. */
export function nearest(typed: string, known: readonly string[]): string | undefined {
  const bare = typed.toLowerCase()
  const ranked = known
    .map(word => ({ word, far: word.startsWith(bare) && bare.length > 2 ? 0.5 : distance(bare, word) }))
    .sort((a, b) => a.far - b.far || (a.word < b.word ? -1 : 1))
  const best = ranked[0]
  return best !== undefined && best.far <= Math.max(1, Math.floor(typed.length / 3)) ? best.word : undefined
}

/** How many letters must be put in, taken out, replaced or swapped with the next (Damerau 1964, adjacent swaps). */
function distance(a: string, b: string): number {
  let before: number[] = []
  let row = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i += 1) {
    const next = [i]
    for (let j = 1; j <= b.length; j += 1) {
      const replaced = row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)
      const swapped = a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1] ? before[j - 2]! + 1 : replaced
      next.push(Math.min(replaced, swapped, row[j]! + 1, next[j - 1]! + 1))
    }
    before = row
    row = next
  }
  return row[b.length]!
}
